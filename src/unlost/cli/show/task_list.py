"""Printing a list of tasks, page by page, as a table or as the JSON that the service sent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

import msgspec

from unlost.cli.client.answers import Page, TaskSeen, seen
from unlost.cli.show.tables import Columns, table


def print_table(
    found: Iterable[Page], columns: Columns, row: Callable[[TaskSeen], Sequence[str]]
) -> None:
    """Print each page as soon as it is there."""
    for number, page in enumerate(found):
        if page.tasks or number == 0:
            table(columns, [row(task) for task in seen(page.tasks)], headed=number == 0)
        sys.stdout.flush()


def print_json(found: Iterable[Page]) -> None:
    """Print all pages as one list in the service's own form, each task's text untouched."""
    out, before, cursor = sys.stdout.buffer, b"", None
    sys.stdout.flush()
    out.write(b'{"tasks": [')
    for page in found:
        for task in page.tasks:
            out.write(before + b"\n" + bytes(task))
            before = b","
        cursor = page.next_cursor
    out.write(b'\n], "nextCursor": ' + msgspec.json.encode(cursor) + b"}\n")
    out.flush()
