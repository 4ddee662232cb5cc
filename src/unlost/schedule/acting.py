"""What people do to schedules.  Pure."""

from __future__ import annotations

from msgspec.structs import replace

from unlost.schedule.deciding import Times, settle_up
from unlost.schedule.refinding import next_by, offset_of
from unlost.schedule.schedule import Move, Plan, Reason, Schedule, run_id, stepped, task
from unlost.task import Micros


def created(
    schedule_id: str, plan: Plan, times: Times, now: Micros, tzdata: str, *, paused: bool
) -> Move:
    """The step that makes a schedule."""
    following = None if paused else times.after(now)
    offset = offset_of(plan, following)
    new = Schedule(schedule_id, plan, now, now, following, tzdata, paused=paused, offset=offset)
    return Move(stepped(new), 0, new_plan=True)


def changed(
    schedule: Schedule,
    plan: Plan,
    before: Times,
    times: Times,
    now: Micros,
    tzdata: str,
    *,
    paused: bool | None = None,
) -> list[Move]:
    """The steps that make it another, `paused` or not (None: as it is); none where it is that
    already.

    `before` and `times` are those of its plan and of the new one.  What passed before a change of
    its times, or while it was paused, is not missed.
    """
    paused = schedule.paused if paused is None else paused
    # A payload that says the same, by its digest, stays as it is.
    if _same(plan, schedule.plan):
        plan = schedule.plan
    if plan is schedule.plan and paused == schedule.paused:
        return []
    moves: list[Move] = []
    new_times = plan.times != schedule.plan.times
    if paused or new_times:
        reason = Reason.PAUSED if paused else Reason.CHANGED
        if (move := settle_up(schedule, before, now, tzdata, reason)) is not None:
            moves, schedule = [move], move.schedule
    if paused:
        following = None
    elif new_times or schedule.paused:
        last = now if schedule.last is None else schedule.last.time
        following = times.after(max(now, last))
    else:
        following = next_by(schedule, times, now, tzdata)
    new_plan = plan is not schedule.plan
    after = stepped(
        schedule, plan=plan, paused=paused, next=following, tzdata=tzdata, updated_at=now,
        offset=offset_of(plan, following),
    )  # fmt: skip
    return [*moves, Move(after, schedule.revision, new_plan=new_plan)]


def run(
    schedule: Schedule, task_id: str | None, now: Micros, submitted_by: str | None = None
) -> Move:
    """The step that submits its task now, by hand, whatever its times say."""
    task_id = task_id or run_id(schedule.id, now)
    new = task(schedule, task_id, now, by_hand=True, submitted_by=submitted_by)
    return Move(stepped(schedule, last_run=task_id), schedule.revision, task=new)


def _same(plan: Plan, other: Plan) -> bool:
    """Whether they ask for the same: payloads are compared by their digests."""
    return replace(plan, payload=other.payload, set_by=other.set_by) == other
