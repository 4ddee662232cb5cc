"""Attempts that workers claim by the API, and what these say of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from unlost.api.openapi.schemas.fields import NO_CONTROL, TaskId, Time
from unlost.api.openapi.schemas.steps import StepName
from unlost.api.openapi.schemas.tasks import MAX_WAIT, NewFollowUp
from unlost.pull.outcomes import Told
from unlost.pull.tokens import LONGEST
from unlost.task import MAX_DELAY, MAX_RETRIES, MAX_TIMEOUT, MAX_TYPE, State

__all__ = ["MAX_WAIT"]

MOST_TYPES: Final = 100
MOST_ATTEMPTS: Final = 1_000
MOST_FOLLOW_UPS: Final = 40
MAX_ERROR_TYPE: Final = 200
SHORTEST_LEASE: Final = 5
LONGEST_LEASE: Final = 43_200

WORKER_ID: Final = r"^[A-Za-z0-9._:-]{1,100}$"
CLAIM_ID: Final = r"^[A-Za-z0-9._:-]{16,100}$"

ClaimId = Annotated[str, Meta(pattern=CLAIM_ID)]
WorkerId = Annotated[str, Meta(pattern=WORKER_ID)]
OfType = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_TYPE,
        extra_json_schema={"pattern": NO_CONTROL, "not": {"pattern": r"^unlost\."}},
    ),
]
Lease = Annotated[float, Meta(ge=SHORTEST_LEASE, le=LONGEST_LEASE)]
Token = Annotated[str, Meta(max_length=LONGEST)]
ErrorType = Annotated[str, Meta(min_length=1, max_length=MAX_ERROR_TYPE)]
After = Annotated[float, Meta(ge=0, le=MAX_DELAY)]


class HandlerOptions(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A handler's own limits: they hold where the submit has set none."""

    max_retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | UnsetType = UNSET
    timeout_seconds: Annotated[float, Meta(gt=0, le=MAX_TIMEOUT)] | UnsetType = UNSET


class NewClaim(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A claim.  `claim` is a name of its own: sent again with the same, by the same worker and for
    the same types, it gives the same attempts, as far as they run.  `worker` is new with each start
    of a process, and all that it holds lasts as long as its lease.  `wait` (seconds) is how long
    the answer may take where nothing is due."""

    claim: ClaimId
    worker: WorkerId
    types: Annotated[list[OfType], Meta(min_length=1, max_length=MOST_TYPES)]
    options: dict[OfType, HandlerOptions] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=MOST_ATTEMPTS)] = 1
    lease_seconds: Lease = 60
    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT)] = 0


class StandingStepBody(msgspec.Struct, frozen=True):
    """A step's name, with what it returned where it has been made: then its function does not run
    again.  `kept` is false where it was made, and what it returned could not be kept.  `forgotten`
    is how often redrives have forgotten it."""

    name: str
    result: Raw | UnsetType = UNSET
    kept: bool | UnsetType = UNSET
    forgotten: int | UnsetType = UNSET


class ClaimedBody(msgspec.Struct, frozen=True, rename="camel"):
    """An attempt to run.  `number` counts all of the task, `attempt` those since its submit or last
    redrive that spent a retry.  One that is `alone` comes after an attempt that was lost."""

    token: Token
    task_id: TaskId
    type: str
    payload: Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
    number: Annotated[int, Meta(ge=1)]
    attempt: Annotated[int, Meta(ge=1)]
    max_retries: int
    redrive_count: int
    submitted_at: Time
    timeout_seconds: float
    alone: bool
    effect_key: str
    steps: list[StandingStepBody]
    key: str | UnsetType = UNSET
    scheduled_for: Time | UnsetType = UNSET


class ClaimedAttemptsBody(msgspec.Struct, frozen=True):
    """The attempts that a claim gives."""

    attempts: list[ClaimedBody]


class NewLease(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Let all go on that the worker holds; `tokens` are those that it runs."""

    lease_seconds: Lease
    tokens: Annotated[list[str], Meta(max_length=MOST_ATTEMPTS)]


class GoneBody(msgspec.Struct, frozen=True):
    """An attempt that runs no more; `state` is its task's, or `unknown`."""

    token: str
    state: str


class GoneAttemptsBody(msgspec.Struct, frozen=True):
    """Of the tokens, those whose attempts run no more."""

    gone: list[GoneBody]


class NewStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step that was made, and what it returned."""

    token: str
    name: StepName
    result: Any


class RecordedBody(msgspec.Struct, frozen=True):
    """Whether what the step returned is kept; where it is not, the step counts as made."""

    kept: bool


class AttemptError(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an attempt failed; long texts are cut."""

    type: ErrorType | UnsetType = UNSET
    message: str = ""
    traceback: str | UnsetType = UNSET


class NewSettlement(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How an attempt ended.  `result` and `submit` (tasks that follow) go with `succeeded`,
    `error`, `excused` and `reject` with `failed`, `retryAfterSeconds` with `failed` and
    `released`."""

    token: str
    outcome: Told
    result: Any | UnsetType = UNSET
    submit: Annotated[list[NewFollowUp], Meta(max_length=MOST_FOLLOW_UPS)] | UnsetType = UNSET
    error: AttemptError | UnsetType = UNSET
    retry_after_seconds: After | UnsetType = UNSET
    excused: bool | UnsetType = UNSET
    reject: bool | UnsetType = UNSET


class NewSettlements(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attempts to settle, each for itself: what is wrong with one is said in its result."""

    attempts: Annotated[
        list[Any],
        Meta(
            max_length=MOST_ATTEMPTS,
            extra_json_schema={
                "items": {"anyOf": [{"$ref": "#/components/schemas/NewSettlement"}, {}]}
            },
        ),
    ]


class SettledBody(msgspec.Struct, frozen=True):
    """What became of one settlement, and the state of its task after it."""

    token: str | None
    status: int
    state: State | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class SettledAttemptsBody(msgspec.Struct, frozen=True):
    """What became of each, in order."""

    results: list[SettledBody]
