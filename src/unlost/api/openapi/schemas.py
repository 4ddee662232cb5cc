"""What goes over the wire, as values: answers are encoded from these, and the OpenAPI document's
schemas are made from them.  Bodies that come in are read by hand (`submission`, `people`), for
all their faults at once; their classes here only describe them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from unlost.task import (
    MAX_DELAY,
    MAX_ID,
    MAX_KEY,
    MAX_PRIORITY,
    MAX_RETRIES,
    MAX_TIMEOUT,
    MAX_TYPE,
    Event,
    Outcome,
    State,
)
from unlost.webhooks.target import MAX_URL

MAX_REASON = 1_000
MAX_PAGE = 1_000
MAX_WAIT = 30
MAX_BATCH = 10_000
SLOWEST_RATE = 0.001
FASTEST_RATE = 1_000_000

BEYOND_MEMBERS: Final[dict[str, dict[str, Any]]] = {
    "NewTask": {"not": {"required": ["delaySeconds", "runAt"]}},
    "BulkRedriveRequest": {
        "anyOf": [{"required": [name]} for name in ("fingerprint", "type", "taskIds", "all")]
    },
}
"""What holds for an object as a whole, by the name of its class."""

NO_CONTROL = r"^[^\u0000-\u001f\u007f-\u009f]*$"

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
StartTime = Annotated[
    str,
    Meta(extra_json_schema={"format": "date-time", "pattern": "^(19[7-9][0-9]|[2-9][0-9]{3})-"}),
]
Payload = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
CallbackUrl = Annotated[
    str,
    Meta(max_length=MAX_URL, extra_json_schema={"format": "uri", "pattern": "^https?://"}),
]
TaskId = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault: where it is (in the body, or which parameter of the query) and what it is."""

    detail: str
    pointer: str | UnsetType = UNSET
    parameter: str | UnsetType = UNSET

    @property
    def name(self) -> str:
        return str(self.parameter if self.pointer is UNSET else self.pointer)


class ProblemBody(msgspec.Struct, frozen=True):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | UnsetType = UNSET


class ErrorBody(msgspec.Struct, frozen=True):
    """Why an attempt failed."""

    type: str
    message: str
    traceback: str | UnsetType | None = UNSET


class AttemptBody(msgspec.Struct, frozen=True, rename="camel"):
    """One run of a handler.  `outcome` is null while it runs."""

    number: Annotated[int, Meta(ge=1)]
    started_at: Time
    finished_at: Time | None
    outcome: Outcome | None
    error: ErrorBody | None
    next_attempt_at: Time | UnsetType = UNSET


class ActBody(msgspec.Struct, frozen=True):
    """What a person did to a task."""

    at: Time
    event: Event
    by: str | None
    reason: str | None


class TaskBody(msgspec.Struct, frozen=True, rename="camel"):
    """A task."""

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
    key: str | UnsetType = UNSET
    purged_at: Time | UnsetType = UNSET
    history: list[ActBody] | UnsetType = UNSET
    callback_url: str | UnsetType = UNSET


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
    key: str | UnsetType = UNSET
    purged_at: Time | UnsetType = UNSET
    payload: Payload | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    attempts: list[AttemptBody] | UnsetType = UNSET
    callback_url: str | UnsetType = UNSET


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


class GroupBody(msgspec.Struct, frozen=True, rename="camel"):
    """Dead letters that look alike."""

    fingerprint: str
    error_type: str
    sample: str
    count: int
    first_at: Time
    last_at: Time


class GroupsBody(msgspec.Struct, frozen=True):
    """Dead letters counted by error, most first."""

    groups: list[GroupBody]


class RedrivenBody(msgspec.Struct, frozen=True):
    """How many were redriven, and whether more are left."""

    redriven: int
    more: bool


class RatesBody(msgspec.Struct, frozen=True, rename="camel"):
    """Tasks a second over the last ten seconds."""

    submitted_per_second: float
    settled_per_second: float


class StatsBody(msgspec.Struct, frozen=True, rename="camel"):
    """The counters, in one snapshot."""

    accepted: int
    outstanding: int
    lost: int
    states: dict[str, int]
    rates: RatesBody
    unhandled_types: list[str]


class HealthBody(msgspec.Struct, frozen=True):
    """What a probe learns."""

    status: str


class EventBody(msgspec.Struct, frozen=True, rename="camel"):
    """A transition that has happened."""

    task_id: str
    type: str
    state: State
    attempt: int
    at: Time


class LaggedBody(msgspec.Struct, frozen=True):
    """How many events a slow reader did not get."""

    dropped: int


class NewTask(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A task to submit."""

    task_id: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_ID,
            extra_json_schema={"pattern": NO_CONTROL, "not": {"enum": [".", ".."]}},
        ),
    ]
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


class NewBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tasks to submit at once."""

    tasks: Annotated[list[Any], Meta(max_length=MAX_BATCH)]


Reason = Annotated[str, Meta(max_length=MAX_REASON)]


class ActRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who does this, and why; kept in the task's history."""

    by: Reason | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET


class RedriveRequest(ActRequest, frozen=True, forbid_unknown_fields=True):
    """A dead letter's fresh start, with its payload replaced where one is given."""

    payload: dict[str, Any] | UnsetType = UNSET


class BulkRedriveRequest(ActRequest, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which dead letters to redrive; selectors mean *and*, at least one is given."""

    fingerprint: Annotated[str, Meta(min_length=1, max_length=MAX_ID)] | UnsetType = UNSET
    type: Annotated[str, Meta(min_length=1, max_length=MAX_TYPE)] | UnsetType = UNSET
    task_ids: Annotated[list[str], Meta(max_length=MAX_BATCH)] | UnsetType = UNSET
    all: Annotated[bool, Meta(extra_json_schema={"const": True})] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=10**15 - 1)] | UnsetType = UNSET
    rate_per_second: Annotated[float, Meta(ge=SLOWEST_RATE, le=FASTEST_RATE)] | UnsetType = UNSET
