"""The next time of a schedule, found again where the time-zone data are of another version.

Other data are like a change of the clock at the moment from which on they are used: what the clock
had shown before stays accounted for.  So a next time that was kept is moved to when the clock now
shows the same, and no night gets two tasks, or none, because the law became known in between.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from unlost.schedule.bounds import DEFAULT_ZONE
from unlost.schedule.schedule import Move, Plan, Schedule, stepped
from unlost.task import SECOND, Micros

if TYPE_CHECKING:
    from unlost.schedule.deciding import Times


def offset_of(plan: Plan, time: Micros | None) -> int | None:
    """By how many seconds its clock is ahead of UTC as it comes to a time; None where its times
    hang on no clock.  Raises UnknownZone."""
    if time is None or plan.cron is None or plan.timezone == DEFAULT_ZONE:
        return None
    return _offset(plan.timezone, time // SECOND)


@lru_cache(maxsize=1024)
def _offset(timezone: str, at: int) -> int:
    # Who has no schedules does not pay for it.
    from unlost.schedule import zones  # noqa: PLC0415

    # What a gap skipped is due as it ends: the clock comes to it from before the gap.
    return min(zones.offset(timezone, at - 1), zones.offset(timezone, at))


def found_again(schedule: Schedule, times: Times, now: Micros, tzdata: str) -> Move | None:
    """The step to its next time by the data of the version `tzdata`; None where that is the same.

    Raises ValueError where they do not know its zone.
    """
    found = next_by(schedule, times, now, tzdata)
    if found == schedule.next:
        return None
    offset = offset_of(schedule.plan, found)
    return Move(stepped(schedule, next=found, tzdata=tzdata, offset=offset), schedule.revision)


def next_by(schedule: Schedule, times: Times, now: Micros, tzdata: str) -> Micros | None:
    """That time."""
    plan, known, before = schedule.plan, schedule.next, schedule.offset
    if known is None or before is None or schedule.tzdata == tzdata:
        return known
    from unlost.schedule.times import Cron, clock_of, first_shown  # noqa: PLC0415 - as above

    if clock_of(Cron(plan.cron or "", plan.timezone)).by_clock:
        return times.after(now) if known > now else known
    shown = first_shown(plan.timezone, known // SECOND + before)
    found = times.after((shown - 1) * SECOND)
    last = 0 if schedule.last is None else schedule.last.time
    # Where the clock had shown it before what is accounted for, it keeps the time that is known.
    return known if found is not None and found <= max(last, schedule.updated_at) else found
