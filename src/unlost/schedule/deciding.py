"""What becomes of the times of a schedule that are due.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

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

WALK: Final = 2 * CATCH_UP
"""Times that one look goes through."""

IN_TIME: Final = SECOND
"""A tick is made within this: a time is not missed before, however short the grace is."""

MOVES: Final = 100
"""Tasks that one look makes."""


class Times(Protocol):
    """As much of `unlost.schedule.times.Times` as decisions need."""

    def after(self, instant: Micros) -> Micros | None:
        """The first time later than this one; None where none is to come."""
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

    `busy` says that a task that it waits for has not ended.  `choices` say of times whose ids
    others have taken which one is free (None: what is there is that very time's own task).
    """
    moves: list[Move] = []
    passed: list[Tick] = []
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
    """The step that skips what is due and was not looked at yet, or the oldest of it; None where
    nothing is.

    Where its times cannot be found any more, it is the one that is known.
    """
    try:
        due, after = _walk(schedule, times, now)
    except ValueError:  # of a zone, or of an expression, that the installed libraries do not know
        due, after = [at for at in (schedule.next,) if at is not None], None
    passed = [Tick(time, reason=reason) for time in due]
    return _move(schedule, passed, after, tzdata) if passed else None


_Looked = tuple[Micros, Micros | None, Reason | None]
"""A time, the one after it, and why it comes to no task, if that hangs on its age alone."""


def _looked_at(schedule: Schedule, times: Times, now: Micros) -> list[_Looked]:
    due, following = _walk(schedule, times, now)
    grace = max(schedule.plan.grace, IN_TIME)
    missed = sum(now - time > grace for time in due)
    if missed == WALK and schedule.plan.missed is Missed.ALL:
        # Enough are newer than the first half; how many than the others, the next look will see.
        due, following = due[:CATCH_UP], due[CATCH_UP]
    elif missed == WALK and following is not None and now - following > grace:
        missed += 1  # none of these is the newest
    return [
        (time, after, _reason(schedule.plan.missed, missed - turn))
        for turn, (time, after) in enumerate(zip(due, [*due, following][1:], strict=True))
    ]


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


def _move(schedule: Schedule, ticks: Sequence[Tick], following: Micros | None, tzdata: str) -> Move:
    """Count the ticks, of which the last alone may have come to a task."""
    last = ticks[-1]
    made = last.task_id is not None
    after = stepped(
        schedule,
        next=following,
        tzdata=tzdata,
        last=last,
        last_task=last.task_id if made else schedule.last_task,
        due=schedule.due + len(ticks),
        made=schedule.made + made,
        skipped=schedule.skipped + len(ticks) - made,
    )
    new = None
    if last.task_id is not None:
        by = schedule.plan.set_by
        new = task(schedule, last.task_id, last.time, submitted_by=by)
    return Move(after, schedule.revision, tuple(ticks[-KEPT_TICKS:]), new)
