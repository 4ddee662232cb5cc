"""Tables: fitted to a terminal, aligned plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unlost.cli.show.output import STYLES, on_terminal
from unlost.cli.text import cell

LEAST = 16
"""How narrow a terminal may make a column that could be wider."""

GAP = 2
"""Spaces between two columns."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table by their heads.

    The column `whole` is not broken over lines while the terminal is wide enough for it.  To make
    room, the `spare` ones are left out, in this order.
    """

    heads: tuple[str, ...]
    whole: str = ""
    spare: tuple[str, ...] = ()


def table(columns: Columns, rows: Iterable[Sequence[str]], *, headed: bool = True) -> None:
    """Print rows under their heads, uncut and printable; a terminal gets heads in any case."""
    lines = [[cell(text) for text in row] for row in rows]
    if on_terminal():
        _fitted(columns, lines)
    else:
        _plain([[head.upper() for head in columns.heads], *lines] if headed else lines)


def _plain(lines: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print((" " * GAP).join(cells).rstrip())


def fitting(
    columns: Columns, widest: Mapping[str, int], least: Mapping[str, int], room: int
) -> dict[str, int]:
    """The width of every column that there is room for, by its head: between the `least` and the
    `widest` that it needs; narrower only where leaving out columns does not help."""
    widths = {head: min(widest[head], room) for head in columns.heads}
    for head in columns.spare:
        if _total(least[one] for one in widths) <= room:
            break
        del widths[head]
    while _total(widths.values()) > room and max(widths.values()) > 1:
        roomy = [head for head in widths if widths[head] > least[head]]
        widths[max(roomy or widths, key=widths.__getitem__)] -= 1
    return widths


def _total(widths: Iterable[int]) -> int:
    return sum(width + GAP for width in widths) - GAP


def _fitted(columns: Columns, lines: list[list[str]]) -> None:
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    texts = {head: [line[at] for line in lines] for at, head in enumerate(columns.heads)}
    widest = {head: max(map(cell_len, (head, *found))) for head, found in texts.items()}
    words = {head: " ".join((head, *found)).split() for head, found in texts.items()}
    least = {head: min(max(map(cell_len, words[head])), LEAST) for head in texts}
    if columns.whole:
        least[columns.whole] = widest[columns.whole]
    shown = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
    )
    widths = fitting(columns, widest, least, console.width)
    for head, width in widths.items():
        shown.add_column(head, overflow="fold", width=width)
    for row in zip(*(texts[head] for head in widths), strict=True):
        shown.add_row(*(Text(text, STYLES.get(text, "")) for text in row))
    console.print(shown)
