"""The progress of a submit, on stderr: a bar on a terminal, a plain line at times elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

PLAIN_EVERY = 5.0
"""Seconds between two plain lines."""


class Sums(Protocol):
    """What the progress shows."""

    @property
    def rejected(self) -> int: ...

    @property
    def read(self) -> int: ...

    @property
    def taken(self) -> int: ...


@contextmanager
def shown(size: int | None, sums: Sums) -> Iterator[Callable[[], None]]:
    """Show `sums` whenever the function is called that this gives.  `size` is how many bytes there
    are to read, None if that is unknown."""
    if sys.stderr.isatty():
        with _bar(size, sums) as refresh:
            yield refresh
    else:
        yield _plain_lines(sums)


def _plain_lines(sums: Sums) -> Callable[[], None]:
    start = last = time.monotonic()

    def refresh() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PLAIN_EVERY:
            last = now
            rate = sums.taken / (now - start)
            print(f"{sums.taken} taken, {sums.rejected} rejected ({rate:.0f}/s)", file=sys.stderr)

    return refresh


@contextmanager
def _bar(size: int | None, sums: Sums) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %" if size else ""),
        TextColumn("{task.fields[taken]} tasks, {task.fields[rate]:.0f}/s{task.fields[rejected]}"),
        TimeElapsedColumn(),
    )
    start = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=size or None, taken=0, rate=0, rejected="")

        def refresh() -> None:
            rate = sums.taken / max(time.monotonic() - start, 0.001)
            rejected = f", {sums.rejected} rejected" if sums.rejected else ""
            progress.update(
                bar, completed=sums.read, taken=sums.taken, rate=rate, rejected=rejected
            )

        yield refresh
