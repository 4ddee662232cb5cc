"""What becomes of the times of a schedule that are due.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from unlost.schedule.refinding import found_again, offset_of
from unlost.schedule.schedule import (
    KEPT_TICKS,
    Missed,
    Move,
    Overlap,
    Reason,
    Schedule,
    Tick,
    stepped,
    task,
    tick_id,
)
from unlost.task import SECOND, Micros

CATCH_UP: Final = 1_000
"""Missed times, the newest, that `all` makes a task for."""

WALK: Final = KEPT_TICKS + CATCH_UP
"""Times that one look goes through; where more were missed, the oldest are counted in one step."""

IN_TIME: Final = SECOND
"""A tick is made within this: a time is not missed before, however short the grace is."""

MOVES: Final = 100
"""Tasks that one look makes."""


class Times(Protocol):
    """As much of `unlost.schedule.times.Times` as decisions need."""

    def after(self, instant: Micros) -> Micros | None:
        """The first time later than this one; None where none is to come."""
        ...

    def count(self, low: Micros, high: Micros) -> int:
        """How many there are later than `low` and not later than `high`."""
        ...


def decide(
    schedule: Schedule,
    times: Times,
    now: Micros,
    tzdata: str,
    *,
    busy: bool = False,
    choices: Mapping[Micros, int | None] | None = None,
) -> list[Move]:
    """The steps that bring the schedule to now, or nearer: at most one task each, oldest first.

    Where its next time was found by other time-zone data, it is found again first.
    `busy` says that a task that it waits for has not ended.  `choices` say of times whose ids
    others have taken which one is free (None: what is there is that very time's own task).
    """
    moves: list[Move] = []
    passed: list[Tick] = []
    if (found := found_again(schedule, times, now, tzdata)) is not None:
        moves, schedule = [found], found.schedule
    if (counted := _count_oldest(schedule, times, now, tzdata)) is not None:
        moves, schedule = [*moves, counted], counted.schedule
    after = schedule.next
    for time, after, too_old in _looked_at(schedule, times, now):
        choice = (choices or {}).get(time, 1)
        reason = too_old or _hindered(schedule, choice, busy=busy)
        if reason is not None:
            passed.append(Tick(time, reason=reason))
            continue
        passed.append(Tick(time, tick_id(schedule.id, time, choice or 1)))
        moves.append(_move(schedule, passed, after, tzdata))
        schedule, passed, busy = moves[-1].schedule, [], True
        if len(moves) == MOVES:
            break
    if passed:
        moves.append(_move(schedule, passed, after, tzdata))
    return moves


def _hindered(schedule: Schedule, choice: int | None, *, busy: bool) -> Reason | None:
    """What keeps a time from its task, whatever its age."""
    if choice is None:
        return Reason.MADE
    return Reason.OVERLAP if busy and schedule.plan.overlap is Overlap.SKIP else None


def settle_up(
    schedule: Schedule, times: Times, now: Micros, tzdata: str, reason: Reason
) -> Move | None:
    """The step that skips all that is due and was not looked at yet; None where nothing is.

    Where its times cannot be found any more, it is the one that is known.
    """
    known = schedule.next
    if known is None or known > now:
        return None
    try:
        number = 1 + times.count(known, now)
        newest = _newest(known, times, now, KEPT_TICKS)
        following = times.after(newest[-1])
    except ValueError:  # of a zone, or of an expression, that the installed libraries do not know
        number, newest, following = 1, [known], None
    ticks = [Tick(time, reason=reason) for time in newest]
    return _move(schedule, ticks, following, tzdata, number)


def _count_oldest(schedule: Schedule, times: Times, now: Micros, tzdata: str) -> Move | None:
    """The step past what is too old to come to a task; None where a look can go through it all."""
    known, high = schedule.next, now - _grace(schedule) - 1
    # No two times are of the same second.
    if known is None or high - known < (WALK - 1) * SECOND:
        return None
    number = 1 + times.count(known, high)
    if number < WALK:
        return None
    how = schedule.plan.missed
    left = {Missed.SKIP: 0, Missed.LAST: 1, Missed.ALL: CATCH_UP}[how]
    newest = _newest(known, times, high, KEPT_TICKS + left)
    oldest, following = newest[:KEPT_TICKS], newest[KEPT_TICKS:]
    reason = Reason.MISSED if how is Missed.SKIP else Reason.SUPERSEDED
    ticks = [Tick(time, reason=reason) for time in oldest]
    after = following[0] if following else times.after(oldest[-1])
    return _move(schedule, ticks, after, tzdata, number - left)


def _newest(known: Micros, times: Times, high: Micros, most: int) -> list[Micros]:
    """The last `most` of a known time and those that follow it up to `high`."""
    # Who has no schedules does not pay for it.
    from unlost.schedule.times import newest  # noqa: PLC0415

    return [known, *newest(times, known, high, most)][-most:]


_Looked = tuple[Micros, Micros | None, Reason | None]
"""A time, the one after it, and why it comes to no task, if that hangs on its age alone."""


def _looked_at(schedule: Schedule, times: Times, now: Micros) -> list[_Looked]:
    due, following = _walk(schedule, times, now)
    grace = _grace(schedule)
    missed = sum(now - time > grace for time in due)
    return [
        (time, after, _reason(schedule.plan.missed, missed - turn))
        for turn, (time, after) in enumerate(zip(due, [*due, following][1:], strict=True))
    ]


def _grace(schedule: Schedule) -> Micros:
    return max(schedule.plan.grace, IN_TIME)


def _reason(how: Missed, missed: int) -> Reason | None:
    """`missed` counts from this time on; it is none of them where there is none."""
    if missed <= 0 or (how is Missed.ALL and missed <= CATCH_UP):
        return None
    if how is Missed.SKIP:
        return Reason.MISSED
    return None if how is Missed.LAST and missed == 1 else Reason.SUPERSEDED


def _walk(schedule: Schedule, times: Times, now: Micros) -> tuple[list[Micros], Micros | None]:
    """The times that are due, the oldest of them at least, and the one after these."""
    due: list[Micros] = []
    at = schedule.next
    while at is not None and at <= now and len(due) < WALK:
        due.append(at)
        at = times.after(at)
    return due, at


def _move(
    schedule: Schedule,
    ticks: Sequence[Tick],
    following: Micros | None,
    tzdata: str,
    number: int | None = None,
) -> Move:
    """Count the ticks, of which the last alone may have come to a task.

    They are the newest of `number`, if it is given.
    """
    last = ticks[-1]
    number = len(ticks) if number is None else number
    made = last.task_id is not None
    after = stepped(
        schedule,
        next=following,
        tzdata=tzdata,
        offset=offset_of(schedule.plan, following),
        last=last,
        last_task=last.task_id if made else schedule.last_task,
        due=schedule.due + number,
        made=schedule.made + made,
        skipped=schedule.skipped + number - made,
    )
    new = None
    if last.task_id is not None:
        by = schedule.plan.set_by
        new = task(schedule, last.task_id, last.time, submitted_by=by)
    return Move(after, schedule.revision, tuple(ticks[-KEPT_TICKS:]), new)
