"""How results look: tables on a terminal, aligned plain lines elsewhere.

Text from tasks is shown with its control characters escaped, so that it cannot steer a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

STYLES = {
    "succeeded": "green",
    "dead": "bold red",
    "failed": "red",
    "timed_out": "red",
    "lost": "magenta",
    "retrying": "yellow",
    "running": "cyan",
    "queued": "blue",
    "cancelled": "dim",
    "released": "dim",
}
"""How a state or an outcome is coloured on a terminal."""


def on_terminal() -> bool:
    """Whether a person sees what goes to stdout."""
    return sys.stdout.isatty()


def one_line(text: str) -> str:
    """`text` as one printable line."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """`text` with every control character but line feed and tab written as its escape."""
    return "".join(
        mark if mark.isprintable() or mark in "\n\t" else mark.encode("unicode_escape").decode()
        for mark in text.encode("utf-8", "backslashreplace").decode()
    )


def _cell(text: str) -> str:
    """One line, spaces kept: an id may hold two in a row."""
    return printable(text.replace("\n", " ").replace("\t", " "))


def raw(text: bytes) -> None:
    """Write bytes to stdout as they are, and end the line."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text if text.endswith(b"\n") else text + b"\n")
    sys.stdout.buffer.flush()


def moment(at: datetime | None) -> str:
    """A time to the millisecond, in UTC; nothing for None."""
    if at is None:
        return ""
    return at.astimezone(UTC).isoformat(" ", "milliseconds").replace("+00:00", "Z")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, headed: bool = True) -> None:
    """Print rows in aligned columns, under their heads, uncut and printable."""
    lines = [[_cell(text) for text in row] for row in rows]
    if on_terminal():
        _rich_table(heads, lines, headed)
        return
    if headed:
        lines.insert(0, [head.upper() for head in heads])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def _rich_table(heads: Sequence[str], lines: list[list[str]], headed: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", show_header=headed)
    for head in heads:
        shown.add_column(head, overflow="fold")
    for line in lines:
        shown.add_row(*(Text(cell, STYLES.get(cell, "")) for cell in line))
    Console(highlight=False).print(shown)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair a line, the values aligned; no line for an empty one."""
    shown = [(name, _cell(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name.ljust(width)}  {value}")
