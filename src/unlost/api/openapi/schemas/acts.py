"""What a person does, and who and why."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from unlost.api.openapi.schemas.fields import OwnId, Time
from unlost.task import Event

MAX_REASON = 1_000
Reason = Annotated[str, Meta(max_length=MAX_REASON)]


class ActBody(msgspec.Struct, frozen=True, rename="camel"):
    """What a person did to a task; `apiKey` names the key by which they did, `redrive` the redrive
    that did it for them."""

    at: Time
    event: Event
    by: str | None
    reason: str | None
    api_key: str | UnsetType = UNSET
    redrive: str | UnsetType = UNSET


class ActRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who does this, and why; kept in the task's history."""

    by: Reason | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET


class OnceRequest(ActRequest, frozen=True, forbid_unknown_fields=True):
    """The same, with an `id`: who sends the same again, with the same id, has done it once."""

    id: OwnId | UnsetType = UNSET
