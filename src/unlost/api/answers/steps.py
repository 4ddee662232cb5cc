"""The steps of a task, as the API shows them."""

from __future__ import annotations

from msgspec import UNSET, Raw, UnsetType

from unlost.api.openapi.schemas.steps import StepBody
from unlost.effects import Step
from unlost.telemetry.redaction import Redaction
from unlost.times import rfc3339


def step_body(step: Step, redaction: Redaction) -> StepBody:
    """A step, with what it returned where that was read, but for what is not shown."""
    result: Raw | UnsetType = UNSET
    if step.result is not None:
        result = Raw(redaction.mask(step.result).encode())
    return StepBody(
        step.name,
        step.attempt,
        rfc3339(step.at),
        UNSET if step.forgotten_at is None else rfc3339(step.forgotten_at),
        UNSET if step.kept else False,
        result,
    )
