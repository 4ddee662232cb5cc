"""Schedules as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, Raw

from unlost.api.openapi.schemas.schedule_times import WarningBody
from unlost.api.openapi.schemas.schedules import ScheduleBody, TickBody
from unlost.schedule.planned import times_of
from unlost.schedule.schedule import Schedule, Tick
from unlost.task import SECOND, Micros
from unlost.telemetry.redaction import Redaction
from unlost.times import rfc3339

NEXT = 5
"""Times that are told of a schedule that is shown alone."""


def whole(
    schedule: Schedule, now: Micros, redaction: Redaction, ticks: Sequence[Tick] | None = None
) -> ScheduleBody:
    """A schedule with its payload, its next times and what to warn of; `ticks` where asked for."""
    # Who has no schedules does not pay for the libraries.
    from unlost.schedule.times import upcoming  # noqa: PLC0415
    from unlost.schedule.warnings import warnings  # noqa: PLC0415

    try:
        times = times_of(schedule.plan)
        further = [] if schedule.next is None else upcoming(times, schedule.next, NEXT - 1)
        found = [WarningBody(one.kind, one.detail) for one in warnings(times, now)]
    except ValueError:  # of time-zone data that are not here
        further, found = [], []
    return shown(
        schedule,
        redaction,
        further=further,
        warned=found,
        with_payload=True,
        ticks=None if ticks is None else [_tick(one) for one in ticks],
    )


def shown(
    schedule: Schedule,
    redaction: Redaction,
    *,
    further: Sequence[Micros] = (),
    warned: list[WarningBody] | None = None,
    with_payload: bool = False,
    ticks: list[TickBody] | None = None,
) -> ScheduleBody:
    """A schedule as it is in a list, and what there is more."""
    plan = schedule.plan
    payload = redaction.mask(plan.payload, plan.type).encode() if with_payload else b""
    following = [] if schedule.next is None else [schedule.next, *further]
    return ScheduleBody(
        id=schedule.id,
        cron=UNSET if plan.cron is None else plan.cron,
        every=UNSET if plan.every is None else plan.every,
        timezone=plan.timezone,
        type=plan.type,
        payload=Raw(payload) if with_payload else UNSET,
        priority=plan.priority,
        max_retries=UNSET if plan.max_retries is None else plan.max_retries,
        timeout_seconds=UNSET if plan.timeout is None else plan.timeout,
        key=UNSET if plan.key is None else plan.key,
        callback_url=UNSET if plan.callback_url is None else plan.callback_url,
        missed=plan.missed,
        grace_seconds=plan.grace / SECOND,
        overlap=plan.overlap,
        paused=schedule.paused,
        next=[rfc3339(at) for at in following],
        last=None if schedule.last is None else _tick(schedule.last),
        due=schedule.due,
        made=schedule.made,
        skipped=schedule.skipped,
        tzdata=schedule.tzdata,
        created_at=rfc3339(schedule.created_at),
        updated_at=rfc3339(schedule.updated_at),
        submitted_by=UNSET if plan.set_by is None else plan.set_by,
        warnings=UNSET if warned is None else warned,
        ticks=UNSET if ticks is None else ticks,
    )


def _tick(tick: Tick) -> TickBody:
    return TickBody(rfc3339(tick.time), tick.task_id, tick.reason)
