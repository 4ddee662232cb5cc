"""The states of all tasks as they change: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unlost.cli.client.answers import StatsSeen
from unlost.cli.show.output import STYLES, on_terminal

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 50
PLAIN_EVERY = 1.0
"""Seconds between two plain lines."""


@contextmanager
def board(total: int) -> Iterator[Callable[[StatsSeen], None]]:
    """Show each of the counts that the function is given.  `total` is the widest bar."""
    if on_terminal():
        with _bars(total) as show:
            yield show
    else:
        yield _plain_lines()


def _plain_lines() -> Callable[[StatsSeen], None]:
    start = time.monotonic()
    last = -PLAIN_EVERY

    def show(stats: StatsSeen) -> None:
        nonlocal last
        elapsed = time.monotonic() - start
        if elapsed - last >= PLAIN_EVERY or not stats.outstanding:
            last = elapsed
            counts = " ".join(f"{state}={count}" for state, count in stats.states.items())
            print(f"{elapsed:5.1f} s  {counts}", flush=True)

    return show


@contextmanager
def _bars(total: int) -> Iterator[Callable[[StatsSeen], None]]:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        yield lambda stats: live.update(_picture(stats, total), refresh=True)


def _picture(stats: StatsSeen, total: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    picture = Table(box=None, show_header=False, padding=(0, 1))
    for state, count in stats.states.items():
        bar = "█" * -(-count * WIDTH // max(total, 1))
        picture.add_row(state, Text(bar.ljust(WIDTH), STYLES.get(state, "")), str(count))
    return picture
