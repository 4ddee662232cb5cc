"""Dead letters: groups, and redrives of one and of many."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from unlost.api.openapi.schemas.acts import ActRequest, OnceRequest
from unlost.api.openapi.schemas.fields import Time
from unlost.api.openapi.schemas.tasks import MAX_BATCH
from unlost.task import MAX_ID, MAX_TYPE

SLOWEST_RATE = 0.001
FASTEST_RATE = 1_000_000


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


class RedriveRequest(OnceRequest, frozen=True, forbid_unknown_fields=True):
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
