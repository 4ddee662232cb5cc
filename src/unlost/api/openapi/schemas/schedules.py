"""Schedules, as they are set and shown."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from unlost.api.openapi.schemas.acts import ActRequest
from unlost.api.openapi.schemas.fields import NO_CONTROL, OWN_ID, Time
from unlost.api.openapi.schemas.schedule_times import WarningBody
from unlost.api.openapi.schemas.tasks import CallbackUrl, NewTaskId, Payload
from unlost.schedule.schedule import MAX_GRACE, Missed, Overlap, Reason
from unlost.task import MAX_KEY, MAX_PRIORITY, MAX_RETRIES, MAX_TIMEOUT, MAX_TYPE

MAX_CRON = 1_000
MAX_EVERY = 50 * 366 * 86_400

Cron = Annotated[str, Meta(min_length=1, max_length=MAX_CRON)]
Seconds = Annotated[int, Meta(ge=1, le=MAX_EVERY)]
Grace = Annotated[float, Meta(ge=0, le=MAX_GRACE)]
Priority = Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)]
Retries = Annotated[int, Meta(ge=0, le=MAX_RETRIES)]
Timeout = Annotated[float, Meta(gt=0, le=MAX_TIMEOUT)]
Named = Annotated[
    str, Meta(min_length=1, max_length=MAX_KEY, extra_json_schema={"pattern": NO_CONTROL})
]


class NewSchedule(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A schedule to set: `cron` or `every` (seconds), and what to submit then.

    Without `paused` it stays as it is.  `graceSeconds` is how late a time may be made before it
    counts as missed.
    """

    type: Annotated[
        str, Meta(min_length=1, max_length=MAX_TYPE, extra_json_schema={"pattern": NO_CONTROL})
    ]
    payload: dict[str, Any]
    cron: Cron | UnsetType = UNSET
    every: Seconds | UnsetType = UNSET
    timezone: str = "UTC"
    priority: Priority = 0
    max_retries: Retries | UnsetType = UNSET
    timeout_seconds: Timeout | UnsetType = UNSET
    key: Named | UnsetType = UNSET
    callback_url: CallbackUrl | UnsetType = UNSET
    missed: Missed = Missed.LAST
    grace_seconds: Grace = 60
    overlap: Overlap = Overlap.ALLOW
    paused: bool | UnsetType = UNSET


class NewRun(ActRequest, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A task to submit now: its id, if it shall have one of the caller's; by whom and why."""

    task_id: NewTaskId | UnsetType = UNSET


class TickBody(msgspec.Struct, frozen=True, rename="camel"):
    """A time that was due: the task it came to, or the reason why it came to none."""

    time: Time
    task_id: str | None
    reason: Reason | None


class ScheduleBody(msgspec.Struct, frozen=True, rename="camel"):
    """A schedule.  `next` are its next times: five, in a list of schedules one; `due` counts its
    times so far, of which so many were `made` and `skipped`; `ticks` are the newest of them."""

    id: Annotated[str, Meta(pattern=OWN_ID)]
    timezone: str
    type: str
    priority: int
    missed: Missed
    grace_seconds: float
    overlap: Overlap
    paused: bool
    next: list[Time]
    last: TickBody | None
    due: int
    made: int
    skipped: int
    tzdata: str
    created_at: Time
    updated_at: Time
    cron: str | UnsetType = UNSET
    every: int | UnsetType = UNSET
    payload: Payload | UnsetType = UNSET
    max_retries: int | UnsetType = UNSET
    timeout_seconds: float | UnsetType = UNSET
    key: str | UnsetType = UNSET
    callback_url: str | UnsetType = UNSET
    submitted_by: str | UnsetType = UNSET
    warnings: list[WarningBody] | UnsetType = UNSET
    ticks: list[TickBody] | UnsetType = UNSET


class SchedulesBody(msgspec.Struct, frozen=True, rename="camel"):
    """A page of schedules, by id."""

    schedules: list[ScheduleBody]
    next_cursor: str | None
