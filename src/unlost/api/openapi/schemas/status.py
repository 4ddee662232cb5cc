"""How the service is: counts, rates, health, and what happens."""

from __future__ import annotations

import msgspec

from unlost.api.openapi.schemas.fields import Time
from unlost.task import State


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
