"""Tasks, as they are submitted and shown, alone, in lists and in batches."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from unlost.api.openapi.schemas.acts import ActBody
from unlost.api.openapi.schemas.fields import NO_CONTROL, TaskId, Time
from unlost.api.openapi.schemas.scheduled import ScheduledBody
from unlost.api.openapi.schemas.steps import StepBody
from unlost.limits.why import Reason
from unlost.task import (
    MAX_DELAY,
    MAX_ID,
    MAX_KEY,
    MAX_PRIORITY,
    MAX_RETRIES,
    MAX_TIMEOUT,
    MAX_TYPE,
    Outcome,
    State,
)
from unlost.webhooks.target import MAX_URL

MAX_PAGE = 1_000
MAX_WAIT = 30
MAX_BATCH = 10_000
StartTime = Annotated[
    str,
    Meta(extra_json_schema={"format": "date-time", "pattern": "^(19[7-9][0-9]|[2-9][0-9]{3})-"}),
]
Payload = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
CallbackUrl = Annotated[
    str,
    Meta(max_length=MAX_URL, extra_json_schema={"format": "uri", "pattern": "^https?://"}),
]

NewTaskId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ID,
        extra_json_schema={"pattern": NO_CONTROL, "not": {"enum": [".", ".."]}},
    ),
]


class ErrorBody(msgspec.Struct, frozen=True):
    """Why an attempt failed."""

    type: str
    message: str
    traceback: str | UnsetType | None = UNSET


class AttemptBody(msgspec.Struct, frozen=True, rename="camel"):
    """One run of a handler.  `outcome` is null while it runs.  A failure that was `excused` spent
    none of the task's retries."""

    number: Annotated[int, Meta(ge=1)]
    started_at: Time
    finished_at: Time | None
    outcome: Outcome | None
    error: ErrorBody | None
    next_attempt_at: Time | UnsetType = UNSET
    excused: bool | UnsetType = UNSET


class TaskBody(msgspec.Struct, frozen=True, rename="camel"):
    """A task.  `attemptCount` has all attempts that started and were not released; `excusedCount`
    those failures since the submit or the last redrive that were excused, where there are some."""

    task_id: TaskId
    type: str
    state: State
    payload: Payload
    attempt_count: int
    max_retries: int
    attempts: list[AttemptBody]
    error: ErrorBody | None
    result: Raw
    submitted_at: Time
    updated_at: Time
    next_attempt_at: Time | None
    redrive_count: int
    excused_count: int | UnsetType = UNSET
    key: str | UnsetType = UNSET
    purged_at: Time | UnsetType = UNSET
    history: list[ActBody] | UnsetType = UNSET
    callback_url: str | UnsetType = UNSET
    submitted_by: str | UnsetType = UNSET
    schedule: ScheduledBody | UnsetType = UNSET
    steps: list[StepBody] | UnsetType = UNSET
    parent: TaskId | UnsetType = UNSET


class WaitBody(msgspec.Struct, frozen=True, rename="camel"):
    """Why a task is not running now: the one reason, in words, and what lifts it.  `until` is
    when that is, where it is known."""

    reason: Reason
    detail: str
    would_change: str
    until: Time | UnsetType = UNSET


class WhyBody(msgspec.Struct, frozen=True, rename="camel"):
    """Why this task is not running now."""

    task_id: TaskId
    state: State
    reason: Reason
    detail: str
    would_change: str
    until: Time | UnsetType = UNSET


class KnownBody(msgspec.Struct, frozen=True, rename="camel"):
    """A task that another key has submitted, for a key that may not read."""

    task_id: TaskId
    type: str
    state: State
    submitted_at: Time


class ItemBody(msgspec.Struct, frozen=True, rename="camel"):
    """A task in a list: its big members only where `include` names them."""

    task_id: TaskId
    type: str
    state: State
    attempt_count: int
    max_retries: int
    error: ErrorBody | None
    submitted_at: Time
    updated_at: Time
    next_attempt_at: Time | None
    redrive_count: int
    excused_count: int | UnsetType = UNSET
    key: str | UnsetType = UNSET
    purged_at: Time | UnsetType = UNSET
    payload: Payload | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    attempts: list[AttemptBody] | UnsetType = UNSET
    callback_url: str | UnsetType = UNSET
    submitted_by: str | UnsetType = UNSET
    why: WaitBody | UnsetType = UNSET
    schedule: ScheduledBody | UnsetType = UNSET
    parent: TaskId | UnsetType = UNSET


class ListBody(msgspec.Struct, frozen=True, rename="camel"):
    """A page of a list, newest first."""

    tasks: list[ItemBody]
    next_cursor: str | None


class BatchResult(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one task of a batch; `status` as the single call would give."""

    task_id: str | None
    status: int
    detail: str | UnsetType = UNSET


class BatchBody(msgspec.Struct, frozen=True):
    """What became of a batch, in its order."""

    accepted: int
    replayed: int
    rejected: int
    results: list[BatchResult]


class TaskOptions(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a task to submit has beside its id."""

    payload: dict[str, Any]
    type: Annotated[
        str, Meta(min_length=1, max_length=MAX_TYPE, extra_json_schema={"pattern": NO_CONTROL})
    ] = "default"
    delay_seconds: Annotated[float, Meta(ge=0, le=MAX_DELAY)] = 0
    run_at: StartTime | UnsetType = UNSET
    priority: Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    max_retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | UnsetType = UNSET
    timeout_seconds: Annotated[float, Meta(gt=0, le=MAX_TIMEOUT)] | UnsetType = UNSET
    key: (
        Annotated[
            str, Meta(min_length=1, max_length=MAX_KEY, extra_json_schema={"pattern": NO_CONTROL})
        ]
        | UnsetType
    ) = UNSET
    callback_url: CallbackUrl | UnsetType = UNSET


class NewTask(TaskOptions, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A task to submit."""

    task_id: NewTaskId


class NewFollowUp(TaskOptions, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A task to submit with an attempt's success; without `taskId` the service gives it one."""

    task_id: NewTaskId | UnsetType = UNSET


class NewBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tasks to submit at once."""

    tasks: Annotated[list[Any], Meta(max_length=MAX_BATCH)]
