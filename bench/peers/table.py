"""The table of the race, and whether unlost holds its bounds in it: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

import msgspec

from bench.peers.entrant import Turn

COLUMNS: Final = (
    "", "one client, calls/s: own", "over HTTP", "bulk, tasks/s: own", "over HTTP", "no-ops/s",
    "submit → start, ms: p50", "p99", "memory, MiB: processes", "server",
)  # fmt: skip

Turns = Mapping[str, Sequence[Turn]]
"""By the entrant's name, in the order of the rounds."""


class Bound(msgspec.Struct, frozen=True):
    """What unlost has to reach, at least or at most."""

    what: str
    figure: float | None
    bound: float
    at_most: bool = False

    @property
    def holds(self) -> bool:
        """Whether it is reached; not if it could not be measured."""
        if self.figure is None:
            return False
        return self.figure <= self.bound if self.at_most else self.figure >= self.bound

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Of its row."""
        shown = "-" if self.figure is None else f"{self.figure:.2f}"
        sign = "≤" if self.at_most else "≥"
        return self.what, shown, f"{sign} {self.bound:g}", "" if self.holds else "MISSED"


def middle(turns: Sequence[Turn], member: str) -> float | None:
    """The median of what was measured, if anything was."""
    found = [value for turn in turns if (value := getattr(turn, member)) is not None]
    return median(found) if found else None


def rows(turns: Turns) -> list[tuple[str, ...]]:
    """Medians, a row an entrant."""
    return [
        (name, *(shown(middle(each, member)) for member in Turn.__struct_fields__))
        for name, each in turns.items()
    ]


def shown(figure: float | None) -> str:
    """As in the table."""
    if figure is None:
        return "-"
    return f"{figure:,.1f}" if figure < 100 else f"{figure:,.0f}"


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table for a page."""
    ruled = ["---"] * len(headings)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, ruled, *lines))


def bounds(turns: Turns, ours: str, against: str | None) -> list[Bound]:
    """What unlost has to reach beside its peers, and beside another build."""
    pgqueuer, graphile = (named(turns, name) for name in ("PgQueuer", "graphile-worker"))
    procrastinate = named(turns, "Procrastinate")
    mine = turns[ours]
    peers = [each for name, each in turns.items() if name not in (ours, against)]
    bulks = [figure for each in peers if (figure := middle(each, "bulk")) is not None]
    found = [
        Bound(
            "one client over HTTP : PgQueuer's call in a bare ASGI app",
            ratio(mine, pgqueuer, "single_http"),
            1.0,
        ),
        Bound(
            "bulk over HTTP : the best peer's own call",
            divided(middle(mine, "bulk_http"), max(bulks, default=None)),
            1.0,
        ),
        Bound("no-ops : graphile-worker's", ratio(mine, graphile, "noops"), 1.25),
        Bound("no-ops : PgQueuer's", ratio(mine, pgqueuer, "noops"), 1.6),
        Bound("no-ops : Procrastinate's", ratio(mine, procrastinate, "noops"), 5.0),
        Bound(
            "submit → start, p50 : graphile-worker's",
            ratio(mine, graphile, "start_p50"),
            1.2,
            at_most=True,
        ),
        Bound("memory, MiB", middle_of_memory(mine), 300.0, at_most=True),
    ]
    if against is not None:
        found.append(
            Bound(f"one client : {against}", ratio(mine, turns[against], "single_http"), 2.0)
        )
    return found


def named(turns: Turns, start: str) -> Sequence[Turn]:
    """The turns of the peer whose name starts so."""
    return next((each for name, each in turns.items() if name.startswith(start)), ())


def ratio(mine: Sequence[Turn], theirs: Sequence[Turn], member: str) -> float | None:
    """The median of the rounds' ratios."""
    pairs = [
        (getattr(one, member), getattr(other, member))
        for one, other in zip(mine, theirs, strict=False)
    ]
    found = [one / other for one, other in pairs if one is not None and other is not None]
    return median(found) if found else None


def divided(one: float | None, other: float | None) -> float | None:
    """Their ratio, if both were measured."""
    return None if one is None or not other else one / other


def middle_of_memory(turns: Sequence[Turn]) -> float | None:
    """The median of both together."""
    return median(turn.memory for turn in turns) if turns else None
