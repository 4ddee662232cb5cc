"""What is set for a type of tasks as a line of an export, and setting it in another ledger.

Times are microseconds.  How a breaker stands is left out: what it saw, another ledger did not.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from unlost.ledger.protocol import Controls
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change, Control
from unlost.task import Micros


class PauseLine(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    at: Micros
    by: str | None = None
    reason: str | None = None


class BreakerLine(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    share: float
    window: Micros
    minimum: int
    pause: Micros
    probes: int
    excuse: bool = False


class ControlLine(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    type: str
    pause: PauseLine | None = None
    limit: int | None = None
    key_limit: int | None = None
    breaker: BreakerLine | None = None
    rate: float | None = None
    key_rate: float | None = None
    pull: bool = False


def line_of(control: Control) -> ControlLine:
    """What is set, as it is written."""
    pause, breaker = control.pause, control.breaker
    return ControlLine(
        control.type,
        None if pause is None else PauseLine(pause.at, pause.by, pause.reason),
        control.limit,
        control.key_limit,
        None if breaker is None else BreakerLine(*msgspec.structs.astuple(breaker)),
        control.rate,
        control.key_rate,
        control.pull,
    )


async def set_again(ledger: Controls, lines: Iterable[ControlLine]) -> None:
    """Set in a ledger what was set in another; a pause begins anew.  Raises LedgerUnavailable."""
    for one in lines:
        if one.pause is not None:
            await ledger.pause(one.type, one.pause.by, one.pause.reason)
        breaker = None if one.breaker is None else Breaker(*msgspec.structs.astuple(one.breaker))
        await ledger.change(
            one.type, Change(one.limit, one.key_limit, breaker, one.rate, one.key_rate, one.pull)
        )
