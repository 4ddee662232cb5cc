"""The progress of a work, on stderr: a bar on a terminal, a plain line at times elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from unlost.cli.show.progress.pace import Pace, span

PLAIN_EVERY = 5.0
"""Seconds between two plain lines."""


class Sums(NamedTuple):
    """What the progress shows: how far it is, and how many are done or rejected by then."""

    read: int
    taken: int
    rejected: int = 0


@contextmanager
def shown(
    size: int | None, sums: Callable[[], Sums], done: str = "tasks", bad: str = "rejected"
) -> Iterator[Callable[[], None]]:
    """Show `sums` whenever the function is called that this gives.

    `size` is how much there is to read, in the measure of `Sums.read` (None: unknown).  `done` and
    `bad` are what a line calls those that are taken, and those that are rejected.
    """
    words = _Words(size, sums, done, bad)
    if sys.stderr.isatty():
        with _bar(size, words) as refresh:
            yield refresh
    else:
        yield _plain_lines(words)


class _Words:
    """The sums in words."""

    def __init__(self, size: int | None, look: Callable[[], Sums], done: str, bad: str) -> None:
        self._look, self._done, self._bad = look, done, bad
        self.sums = look()
        self._pace = Pace(size, time.monotonic(), self.sums.read, self.sums.taken)

    def observe(self) -> None:
        self.sums = self._look()
        self._pace.observe(time.monotonic(), self.sums.read, self.sums.taken)

    def __str__(self) -> str:
        left = self._pace.left
        rest = "" if not left else f", about {span(left)} left"
        bad = f", {self.sums.rejected} {self._bad}" if self.sums.rejected else ""
        return f"{self.sums.taken} {self._done}{bad} ({self._pace.rate:.0f}/s{rest})"


def _plain_lines(words: _Words) -> Callable[[], None]:
    last = time.monotonic()

    def refresh() -> None:
        nonlocal last
        words.observe()
        if time.monotonic() - last >= PLAIN_EVERY:
            last = time.monotonic()
            print(words, file=sys.stderr, flush=True)

    return refresh


@contextmanager
def _bar(size: int | None, words: _Words) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %" if size else ""),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(str(words), total=size or None)

        def refresh() -> None:
            words.observe()
            progress.update(bar, completed=words.sums.read, description=str(words))

        yield refresh
        refresh()
