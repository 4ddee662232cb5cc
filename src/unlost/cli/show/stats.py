"""What `stats --watch` shows on a terminal, as lines that fit its width."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unlost.cli.client.answers import GroupSeen, StatsSeen
from unlost.cli.show.output import STYLES
from unlost.cli.show.plots import bar, sparkline
from unlost.cli.show.progress.pace import span
from unlost.cli.text import cell, counted

if TYPE_CHECKING:
    from rich.text import Text

KEPT = 500
"""Looks that are kept: more columns than that no terminal has."""

LABEL, NUMBER = 12, 10
"""Columns of a row's name and number; what is left is for its plot."""

NARROW = 30
"""Columns below which there are no plots."""

GROUPS_SHOWN = 5


@dataclass
class View:
    """What was seen so far.  `oldest` is in seconds, None where the service does not tell;
    `trouble` is why the newest look failed."""

    url: str
    stats: StatsSeen | None = None
    oldest: float | None = None
    groups: Sequence[GroupSeen] = ()
    at: str = ""
    trouble: str = ""
    submitted: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    settled: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    outstanding: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    def observe(self, stats: StatsSeen) -> None:
        """Take note of the counts."""
        self.stats, self.trouble = stats, ""
        self.submitted.append(stats.rates.get("submittedPerSecond", 0))
        self.settled.append(stats.rates.get("settledPerSecond", 0))
        self.outstanding.append(stats.outstanding)


def lines(view: View, width: int) -> list[Text]:
    """The view, a line each, none wider than `width` columns."""
    from rich.text import Text

    found = [Text.assemble(("unlost ", "bold"), (f"{cell(view.url)}  {view.at}", "dim"))]
    if view.trouble:
        found.append(Text(cell(view.trouble), "yellow"))
    if view.stats is not None:
        found += _sums(view.stats, view.oldest, width)
        found += [Text(), *_states(view.stats, width), Text(), *_rates(view, view.stats, width)]
        found += _notes(view.stats, view.groups)
    for line in found:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return found


def _sums(stats: StatsSeen, oldest: float | None, width: int) -> list[Text]:
    """The sums, as many in a line as fit."""
    parts = [
        (f"accepted {stats.accepted}", ""),
        (f"outstanding {stats.outstanding}", ""),
        (f"lost {stats.lost}", "bold red" if stats.lost else ""),
    ]
    if oldest is not None:
        parts.append((f"oldest waiting {span(oldest)}", ""))
    return _flowed(parts, width)


def _flowed(parts: Iterable[tuple[str, str]], width: int) -> list[Text]:
    from rich.text import Text

    found = [Text()]
    for text, style in parts:
        if found[-1] and len(found[-1]) + 3 + len(text) > width:
            found.append(Text())
        found[-1].append("   " if found[-1] else "").append(text, style)
    return found


def _states(stats: StatsSeen, width: int) -> list[Text]:
    most = max(stats.states.values(), default=0)
    return [
        _row(state, str(count), bar(count, most, _room(width)), STYLES.get(state, ""))
        for state, count in stats.states.items()
    ]


def _rates(view: View, stats: StatsSeen, width: int) -> list[Text]:
    rows = (
        ("submitted/s", f"{view.submitted[-1]:.1f}", view.submitted, "blue"),
        ("settled/s", f"{view.settled[-1]:.1f}", view.settled, "green"),
        ("outstanding", str(stats.outstanding), view.outstanding, "cyan"),
    )
    return [
        _row(name, now, sparkline(tuple(values), _room(width)), style)
        for name, now, values, style in rows
    ]


def _room(width: int) -> int:
    """Columns for a plot."""
    return 0 if width < NARROW else width - LABEL - NUMBER - 1


def _row(name: str, number: str, plot: str, style: str) -> Text:
    from rich.text import Text

    return Text.assemble(name.ljust(LABEL), number.rjust(NUMBER), " ", (plot, style))


def _notes(stats: StatsSeen, groups: Sequence[GroupSeen]) -> list[Text]:
    """What wants somebody to look at it."""
    from rich.text import Text

    found = []
    if stats.unhandled_types:
        types = ", ".join(map(cell, stats.unhandled_types))
        found += [Text(), Text(f"no worker for  {types}", "yellow")]
    if groups:
        total = counted(sum(group.count for group in groups), "dead letter")
        of = f"{total} in {counted(len(groups), 'group')}; `unlost dead` works on them"
        found += [Text(), Text(of, STYLES["dead"])]
    for group in groups[:GROUPS_SHOWN]:
        what = cell(f"{group.error_type}: {group.sample}")
        found.append(Text.assemble(str(group.count).rjust(7), "  ", what))
    return found
