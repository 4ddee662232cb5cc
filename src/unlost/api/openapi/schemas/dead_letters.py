"""Dead letters: groups, and redrives of one and of many."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from unlost.api.openapi.schemas.acts import OnceRequest
from unlost.api.openapi.schemas.fields import PathId, Time
from unlost.api.openapi.schemas.redrives import All, Fingerprint, Limit, OfType, Rate
from unlost.api.openapi.schemas.steps import ForgottenNames
from unlost.api.openapi.schemas.tasks import MAX_BATCH


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
    """How many were redriven so far, and the redrive that goes on with the rest.

    `more` says whether a further call is needed, as it never is where redrives go on by themselves.
    """

    redriven: int
    more: bool
    redrive: str | UnsetType = UNSET


class RedriveRequest(OnceRequest, frozen=True, forbid_unknown_fields=True):
    """A dead letter's fresh start, with its payload replaced where one is given.

    Steps that it is to `forget` (these, or true: all) are made again, under other keys. With a new
    payload that has to be said where there are steps.
    """

    payload: dict[str, Any] | UnsetType = UNSET
    forget: All | ForgottenNames | UnsetType = UNSET


class BulkRedriveRequest(OnceRequest, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which dead letters to redrive; selectors mean *and*, at least one is given."""

    id: PathId | UnsetType = UNSET
    fingerprint: Fingerprint | UnsetType = UNSET
    type: OfType | UnsetType = UNSET
    task_ids: Annotated[list[str], Meta(max_length=MAX_BATCH)] | UnsetType = UNSET
    all: All | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET
    rate_per_second: Rate | UnsetType = UNSET
