"""Why tasks wait, as it is shown."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from unlost.api.openapi.schemas.tasks import WaitBody, WhyBody
from unlost.limits.why import Facts, why
from unlost.task import Micros
from unlost.times import rfc3339


def explained(facts: Facts) -> WhyBody:
    """For one task."""
    task, found = facts.record, why(facts)
    told = found.reason, found.detail, found.would_change, _time(found.until)
    return WhyBody(task.task_id, task.state, *told)


def waits(facts: Facts) -> WaitBody:
    """For a task in a list."""
    found = why(facts)
    return WaitBody(found.reason, found.detail, found.would_change, _time(found.until))


def _time(until: Micros | None) -> str | UnsetType:
    return UNSET if until is None else rfc3339(until)
