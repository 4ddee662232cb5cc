"""`unlost submit`: a file of tasks into the service."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from io import FileIO
from stat import S_ISREG
from typing import Annotated

from cyclopts import Parameter

from unlost.cli import bounds
from unlost.cli.client.connection import HERE, Connection, Service
from unlost.cli.client.delivery import Answer, Courier, in_background
from unlost.cli.client.ndjson import (
    LONGEST_LINE,
    Item,
    Pause,
    Source,
    batches,
    idle,
    item,
    lines,
    option_members,
)
from unlost.cli.client.repeats import Repeats
from unlost.cli.failures import Failed
from unlost.cli.options import switch, whole
from unlost.cli.show.progress.bar import shown
from unlost.cli.show.progress.tally import Rejection, Tally
from unlost.cli.text import counted
from unlost.jsontext import NotJson
from unlost.task import MAX_KEY, MAX_PRIORITY, MAX_RETRIES

IN_FLIGHT = 4
"""Batches on their way at once."""


def submit(
    file: Annotated[
        str,
        Parameter(name="FILE", help="NDJSON; - is standard input", allow_leading_hyphen=True),
    ],
    /,
    *,
    type_: Annotated[
        str | None, Parameter(name="--type", help="the handler for bare payloads")
    ] = None,
    priority: Annotated[
        int | None,
        Parameter(
            converter=whole, help="for bare payloads, -100 to 100", allow_leading_hyphen=True
        ),
    ] = None,
    max_retries: Annotated[
        int | None, Parameter(converter=whole, help="for bare payloads, 0 to 100")
    ] = None,
    key: Annotated[
        str | None, Parameter(help="whose they are, for bare payloads, for limits by key")
    ] = None,
    retry_for: Annotated[
        float, Parameter(help="seconds to go on trying while the service is away or busy")
    ] = 60.0,
    json: Annotated[bool, switch("--json", "print the sums as JSON")] = False,
    connection: Connection = HERE,
) -> None:
    """Submit every line of a file: a task, or a bare payload.

    An object with taskId is a task as POST /tasks takes it. Any other is a bare payload, whose id
    is made from its content and how often that stood above it. So a file can be submitted again
    without harm: what is there already counts as replayed. Exit status 1 if a line was rejected.
    """

    bounds.file(file)
    bounds.number("--retry-for", retry_for, 0, 86_400)
    options = _options(type_, priority, max_retries, key)
    tally, start = Tally(), time.monotonic()
    with (
        Service(connection) as service,
        _opened(file) as (source, size),
        shown(size, tally.sums) as refresh,
    ):
        items = _items(source, options, tally)
        _deliver(batches(items), Courier(service, retry_for), tally, refresh)
    tally.print(time.monotonic() - start, as_json=json)
    if tally.rejected:
        were = "was" if tally.rejected == 1 else "were"
        raise Failed(f"{counted(tally.rejected, 'line')} {were} rejected")


def _options(
    type_: str | None, priority: int | None, max_retries: int | None, key: str | None
) -> dict[str, str | int | None]:
    """The members of bare payloads.  Raises WrongUsage for what the service would refuse."""
    bounds.type_name(type_)
    bounds.whole("--priority", priority, -MAX_PRIORITY, MAX_PRIORITY)
    bounds.whole("--max-retries", max_retries, 0, MAX_RETRIES)
    bounds.name("--key", key, MAX_KEY)
    return {"type": type_, "priority": priority, "maxRetries": max_retries, "key": key}


@contextmanager
def _opened(file: str) -> Iterator[tuple[Source, int | None]]:
    """The file, unbuffered, and its size; None for what has none (a pipe, a terminal)."""
    with FileIO(0 if file == "-" else file, closefd=file != "-") as source:
        status = os.fstat(source.fileno())
        yield source, status.st_size if S_ISREG(status.st_mode) else None


def _items(source: Source, options: Mapping[str, object], tally: Tally) -> Iterator[Item | Pause]:
    """Every line that can be sent; the others are tallied as rejected."""
    seen, members = Repeats(), option_members(options)
    for line in lines(source, partial(idle, source)):
        if isinstance(line, Pause):
            yield line
        elif line.text is None:
            detail = f"the line is longer than {LONGEST_LINE} bytes"
            tally.reject(Rejection(line.number, None, 413, detail))
        else:
            try:
                yield item(line.number, line.text, line.read, members, seen)
            except NotJson as error:
                tally.reject(Rejection(line.number, None, 400, f"not JSON: {error}"))


def _deliver(
    batches: Iterable[list[Item]], courier: Courier, tally: Tally, refresh: Callable[[], None]
) -> None:
    """Send batches, a few at once, and tally their answers in order.

    Raises Failed, with how much is in by then.
    """
    flying: deque[tuple[list[Item], Future[list[Answer]]]] = deque()

    def land() -> None:
        batch, answers = flying.popleft()
        tally.add(batch, answers.result())
        refresh()

    try:
        for batch in batches:
            flying.append((batch, in_background(partial(courier.deliver, batch))))
            while flying and (len(flying) >= IN_FLIGHT or flying[0][1].done()):
                land()
        while flying:
            land()
    except Failed as error:
        taken = f"{counted(tally.taken, 'task')} {'is' if tally.taken == 1 else 'are'} in"
        raise Failed(f"{error}; {taken}, submitting again is safe") from error
