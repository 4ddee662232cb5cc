"""Steps of a task: what is recorded of effects that happen once, and what a redrive forgets."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from unlost.api.openapi.schemas.fields import Time
from unlost.effects import MAX_FORGET, MAX_NAME

STEP_NAME: Final = f"^[A-Za-z0-9._:-]{{1,{MAX_NAME}}}$"

StepName = Annotated[str, Meta(extra_json_schema={"pattern": STEP_NAME})]
All = Annotated[bool, Meta(extra_json_schema={"const": True})]
ForgottenNames = Annotated[list[StepName], Meta(max_length=MAX_FORGET)]


class StepBody(msgspec.Struct, frozen=True, rename="camel"):
    """A step that an attempt has recorded.

    `result` is what it returned, where `include=steps` asks for it and it is kept: `kept` is false
    where it is no JSON or too large.  `forgottenAt`: a redrive forgot it, and it was not made again
    since.
    """

    name: str
    attempt: Annotated[int, Meta(ge=1)]
    at: Time
    forgotten_at: Time | UnsetType = UNSET
    kept: bool | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
