"""Redrives: what can be asked for, and how far they are."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from unlost.api.openapi.schemas.acts import OnceRequest
from unlost.api.openapi.schemas.fields import PathId, Time
from unlost.api.openapi.schemas.steps import ForgottenNames, StepName
from unlost.redrive import RedriveState
from unlost.task import MAX_DELAY, MAX_ID, MAX_TYPE

SLOWEST_RATE: Final = 0.001
FASTEST_RATE: Final = 1_000_000
MOST_NAMED: Final = 1_000
MOST_CANARIES: Final = 1_000
MOST: Final = 10**15 - 1

Fingerprint = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
OfType = Annotated[str, Meta(min_length=1, max_length=MAX_TYPE)]
All = Annotated[bool, Meta(extra_json_schema={"const": True})]
Limit = Annotated[int, Meta(ge=1, le=MOST)]
Rate = Annotated[float, Meta(ge=SLOWEST_RATE, le=FASTEST_RATE)]


class NewRedrive(OnceRequest, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which dead letters to redrive (selectors mean *and*, at least one is given), and how.

    `canary` letters go first; after them never more are under way than have succeeded. It stops
    once more than `tolerate` have died again (null: it never does for that), or once the canary
    has not ended after `patience` seconds. `payload` replaces that of the one task in `taskIds`.
    Steps with the names to `forget` are made again, under other keys.
    """

    id: PathId | UnsetType = UNSET
    fingerprint: Fingerprint | UnsetType = UNSET
    type: OfType | UnsetType = UNSET
    task_ids: Annotated[list[str], Meta(max_length=MOST_NAMED)] | UnsetType = UNSET
    all: All | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET
    rate_per_second: Rate | UnsetType = UNSET
    canary: Annotated[int, Meta(ge=0, le=MOST_CANARIES)] = 1
    tolerate: Annotated[int, Meta(ge=0, le=MOST)] | None = 0
    patience: Annotated[float, Meta(gt=0, le=MAX_DELAY)] = 600
    payload: dict[str, Any] | UnsetType = UNSET
    forget: ForgottenNames | UnsetType = UNSET


class RedriveBody(msgspec.Struct, frozen=True, rename="camel"):
    """A redrive: `selected` = `redriven` + `gone` + `left`, `redriven` = `succeeded` + `diedAgain`
    + `cancelled` + `underWay`.

    `selected` and `left` are null until they are counted; `gone` is what others took. `forget` is
    there where steps are made again.
    """

    id: str
    state: RedriveState
    selected: int | None
    redriven: int
    succeeded: int
    died_again: int
    cancelled: int
    gone: int
    under_way: int
    left: int | None
    why: str | None
    by: str | None
    reason: str | None
    api_key: str | None
    started_at: Time
    updated_at: Time
    forget: tuple[StepName, ...] | UnsetType = UNSET


class RedrivesBody(msgspec.Struct, frozen=True, rename="camel"):
    """Redrives, newest first, and where the list goes on."""

    redrives: list[RedriveBody]
    next_cursor: str | None
