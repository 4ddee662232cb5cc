"""What a schedule does that whoever wrote it may not expect: told where it is set and shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from unlost.schedule import zones
from unlost.schedule.cron import Clock
from unlost.schedule.times import Cron, Times, clock_of
from unlost.schedule.zones import Change
from unlost.task import SECOND, Micros

_YEAR: Final = 366 * 86_400
_HOUR: Final = 3600
_SHOWN: Final = 3

Kind = Literal["either-day", "skipped", "repeated"]


class Warning(NamedTuple):  # noqa: A001 - what it is; the built-in one is for Python's own
    """`either-day`: one of two kinds of days is enough; `skipped`, `repeated`: a change of the
    clock within a year meets it."""

    kind: Kind
    detail: str


def warnings(times: Times, now: Micros) -> list[Warning]:
    """What to tell of such times: at most one of a kind, the next one."""
    if not isinstance(times, Cron):
        return []
    clock = clock_of(times)
    found: dict[Kind, Warning] = {}
    if clock.either_day:
        told = "day of month and day of week are both set: it is due on days that fit either"
        found["either-day"] = Warning("either-day", told)
    at = now // SECOND
    for change in zones.between(times.timezone, at, at + _YEAR):
        warning = _meeting(clock, change)
        if warning:
            found.setdefault(warning.kind, warning)
    return list(found.values())


def _meeting(clock: Clock, change: Change) -> Warning | None:
    """What a change of the clock does to what is due then; None if nothing."""
    left, reached = change.at + change.before, change.at + change.after
    low, high = min(left, reached), max(left, reached)
    if clock.by_clock and clock.every_hour and (high - low) % _HOUR == 0:
        return None  # the next hour is like the one that is skipped or comes twice
    due = _due(clock, low, high)
    if not due:
        return None
    begins = f"the clock goes from {_told(left, '%Y-%m-%d %H:%M')} to {_told(reached)}: "
    if left < reached:
        follows = "is not made" if clock.by_clock else f"is made at {_told(reached)}, once"
        return Warning("skipped", f"{begins}what is due in between ({due}) {follows}")
    follows = "is made both times" if clock.by_clock else "is made the first time only"
    return Warning("repeated", f"{begins}what is due in between ({due}) {follows}")


def _due(clock: Clock, low: int, high: int) -> str:
    """The first few of the times from `low` to just before `high`; empty if there are none."""
    found: list[str] = []
    at = clock.after(low - 1)
    while at is not None and at < high:
        if len(found) == _SHOWN:
            return ", ".join(found) + ", …"
        found.append(_told(at))
        at = clock.after(at)
    return ", ".join(found)


def _told(shown: int, form: str = "%H:%M") -> str:
    return datetime.fromtimestamp(shown, UTC).strftime(form)
