"""What a redrive of a group would do, and what is to be said after it.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from unlost.cli.client.answers import ErrorSeen, TaskSeen
from unlost.cli.client.redrives import RedriveSeen, how_to_look
from unlost.cli.show.plots import axis, binned, sparkline
from unlost.cli.show.progress.pace import span
from unlost.cli.text import cell, counted

BINS = 12
"""Columns of a group's sparkline."""


@dataclass(frozen=True)
class Hindrances:
    """Types whose tasks would wait: no worker serves them, or somebody paused them, or their
    circuit is open."""

    unhandled: Collection[str] = ()
    paused: Collection[str] = ()
    open: Collection[str] = ()

    def why(self, task_type: str) -> str:
        """Why a task of this type would wait; empty if nothing is known to keep it."""
        if task_type in self.paused:
            return "is paused: `unlost resume` lets it go"
        if task_type in self.open:
            return "has an open circuit"
        return "has no worker" if task_type in self.unhandled else ""


def preview(count: int, looked_at: Sequence[TaskSeen], keeps: Hindrances) -> list[str]:
    """What redriving `count` dead letters would do, in lines; `looked_at` are the newest."""
    types = Counter(letter.type for letter in looked_at)
    share = "" if len(looked_at) >= count else f" (of the newest {len(looked_at)})"
    fresh = f"a redrive gives {counted(count, 'dead letter')} a fresh set of attempts"
    found = [f"{fresh}: {_listed(types)}{share}"]
    again = sum(letter.redrive_count > 0 for letter in looked_at)
    if again:
        found.append(f"{again} of them {_were(again)} redriven before, and died again")
    if count > 1:
        found.append(
            f"as a canary: one first, the other {count - 1} only if it succeeds, and never more"
            " under way than have succeeded"
        )
    return found + [f"{cell(name)} {why}" for name in types if (why := keeps.why(name))]


def _listed(types: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {cell(name)}" for name, number in types.items())


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def timelines(
    deaths: Mapping[str, Sequence[datetime]], now: datetime
) -> tuple[str, dict[str, str]]:
    """How far back the plots go, in words, and a plot of each group's newest deaths.

    They all have the same axis, so that they can be compared.
    """
    ages = {name: [(now - at).total_seconds() for at in times] for name, times in deaths.items()}
    back = axis(max((age for times in ages.values() for age in times), default=0))
    plots = {
        name: sparkline(binned([-max(age, 0) for age in times], -back, 0, BINS), BINS)
        for name, times in ages.items()
    }
    return f"last {span(back)}", plots


def afterwards(outcome: RedriveSeen, before: str, after: ErrorSeen | None) -> str:
    """What a redrive has shown.  `before` is the group's error type, `after` the error of one that
    died again."""
    if after is not None:
        same = "the same error" if after.type == before else "another error than before"
        return f"{outcome.why or 'some died again'}, of {same}: {cell(str(after))}"
    if outcome.why is not None:
        return f"{outcome.why}: `unlost stats` says whether anything serves them"
    if outcome.goes_on:
        look = how_to_look(outcome.id)
        return f"{outcome.under_way} under way, {outcome.left or 0} left; {look}"
    if outcome.succeeded == outcome.selected:
        return "all of them succeeded"
    return f"done; {outcome.gone + outcome.cancelled} were taken or cancelled by others"
