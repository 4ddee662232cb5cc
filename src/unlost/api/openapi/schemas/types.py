"""What is set for types of tasks."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from unlost.api.openapi.schemas.fields import Time
from unlost.limits.breaker import Phase
from unlost.limits.control import MAX_LIMIT
from unlost.limits.rate import HIGHEST, LOWEST

LONGEST_WINDOW: Final = 86_400
SHORTEST_WINDOW: Final = 1
LONGEST_OPEN: Final = 86_400
SHORTEST_OPEN: Final = 0.1
MOST_ENDED: Final = 100_000
MOST_PROBES: Final = 1_000
Bound = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]
Rate = Annotated[float, Meta(ge=LOWEST, le=HIGHEST)]
Share = Annotated[float, Meta(gt=0, le=1)]
Window = Annotated[float, Meta(ge=SHORTEST_WINDOW, le=LONGEST_WINDOW)]
Minimum = Annotated[int, Meta(ge=1, le=MOST_ENDED)]
OpenFor = Annotated[float, Meta(ge=SHORTEST_OPEN, le=LONGEST_OPEN)]
Probes = Annotated[int, Meta(ge=1, le=MOST_PROBES)]


class PauseBody(msgspec.Struct, frozen=True):
    """Since when a type is paused, by whom and why."""

    at: Time
    by: str | None
    reason: str | None


class BreakerBody(msgspec.Struct, frozen=True, rename="camel"):
    """When a circuit opens, and how it closes again."""

    failure_share: Share
    window_seconds: Window
    minimum: Minimum
    open_seconds: OpenFor
    probes: Probes
    excuse: bool


class TypeBody(msgspec.Struct, frozen=True, rename="camel"):
    """What is set for a type of tasks: how many attempts run at once (`limit`) and start a second
    (`ratePerSecond`), of the type and of those with the same key.  With `pull` only workers that
    claim by this API take its tasks.

    `circuit` is null without a breaker, `circuitSince` (when it opened) while it is closed,
    `opensUntil` unless it is open.
    """

    type: str
    pause: PauseBody | None
    limit: Bound | None
    key_limit: Bound | None
    breaker: BreakerBody | None
    circuit: Phase | None
    circuit_since: Time | None
    opens_until: Time | None
    rate_per_second: Rate | None
    key_rate_per_second: Rate | None
    pull: bool


class TypesBody(msgspec.Struct, frozen=True):
    """The types for which something is set, by name."""

    types: list[TypeBody]


class NewBreaker(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A breaker to set: it opens where, of at least `minimum` attempts that ended within
    `windowSeconds`, a share of `failureShare` or more failed; after `openSeconds` it lets `probes`
    attempts start.  With `excuse` the failure that opens it, and each probe of one that fails,
    spend no retry."""

    failure_share: Share = 0.5
    window_seconds: Window = 60
    minimum: Minimum = 10
    open_seconds: OpenFor = 30
    probes: Probes = 1
    excuse: bool = False


class TypeChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What to set anew for a type: null removes, what is left out stays."""

    limit: Bound | UnsetType | None = UNSET
    key_limit: Bound | UnsetType | None = UNSET
    breaker: NewBreaker | UnsetType | None = UNSET
    rate_per_second: Rate | UnsetType | None = UNSET
    key_rate_per_second: Rate | UnsetType | None = UNSET
    pull: bool | UnsetType = UNSET
