"""What people set for types of tasks: read from a call, carried out, shown."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from msgspec import UNSET, UnsetType

from unlost.access.caller import Caller
from unlost.api.openapi.schemas import types as schemas
from unlost.api.openapi.schemas.types import BreakerBody, PauseBody, TypeBody, TypesBody
from unlost.api.request import members
from unlost.api.request.members import Members
from unlost.asked import checks
from unlost.asked.checks import Wrong
from unlost.ledger.protocol import Ledger
from unlost.limits.breaker import Breaker, Phase
from unlost.limits.control import MAX_LIMIT, Change, Control, Pause
from unlost.limits.rate import HIGHEST, LOWEST
from unlost.task import SECOND, WEBHOOK_TYPE, Micros
from unlost.times import rfc3339

_SMALLEST_SHARE: Final = 1e-6  # as good as any that is smaller, and no double rounds it to 0

_limit = members.or_null(checks.whole(1, MAX_LIMIT))
_share = checks.number(0, 1, above=True)
_window = checks.number(schemas.SHORTEST_WINDOW, schemas.LONGEST_WINDOW)
_minimum = checks.whole(1, schemas.MOST_ENDED)
_open_for = checks.number(Decimal(str(schemas.SHORTEST_OPEN)), schemas.LONGEST_OPEN)
_probes = checks.whole(1, schemas.MOST_PROBES)
_breaker = members.or_null(checks.json_object)
_rate = members.or_null(checks.number(Decimal(str(LOWEST)), HIGHEST))


def read_change(name: str, body: Members) -> Change:
    """What a body asks to be set for this type.  Raises Invalid."""
    limit = body.optional("limit", _limit, UNSET)
    key_limit = body.optional("keyLimit", _limit, UNSET)
    breaker: Breaker | UnsetType | None = UNSET
    match body.optional("breaker", _breaker, UNSET):
        case None:
            breaker = None
        case dict():
            breaker = _new_breaker(body.within("breaker"))
    rate, key_rate = _read_rate(body, "ratePerSecond"), _read_rate(body, "keyRatePerSecond")
    pull = body.optional("pull", _unpulled if name == WEBHOOK_TYPE else checks.flag, UNSET)
    body.finish()
    return Change(limit, key_limit, breaker, rate, key_rate, pull)


def _unpulled(value: object) -> bool:
    if checks.flag(value):
        raise Wrong("must be false: webhooks are delivered by the service itself")
    return False


def _read_rate(body: Members, name: str) -> float | UnsetType | None:
    found = body.optional(name, _rate, UNSET)
    return float(found) if isinstance(found, Decimal) else found


def _new_breaker(body: Members) -> Breaker:
    share = body.optional("failureShare", _share, None)
    window = body.optional("windowSeconds", _window, None)
    minimum = body.optional("minimum", _minimum, Breaker().minimum)
    open_for = body.optional("openSeconds", _open_for, None)
    probes = body.optional("probes", _probes, Breaker().probes)
    excuse = body.optional("excuse", checks.flag, False)
    return Breaker(
        Breaker().share if share is None else max(float(share), _SMALLEST_SHARE),
        Breaker().window if window is None else checks.micros(window),
        minimum,
        Breaker().pause if open_for is None else checks.micros(open_for),
        probes,
        excuse,
    )


class Types:
    """The types of a ledger's tasks, as they are shown.

    `clock` is the time by which a circuit is shown as open or half open.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], Micros]) -> None:
        self._ledger = ledger
        self._clock = clock

    async def listed(self, caller: Caller) -> TypesBody:
        """Those for which something is set, and that are there for this caller."""
        controls, now = await self._ledger.controls(), self._clock()
        return TypesBody([_shown(one, now) for one in controls if caller.sees(one.type)])

    async def one(self, name: str) -> TypeBody:
        """One of them, whether anything is set for it or not."""
        found = {control.type: control for control in await self._ledger.controls()}
        return _shown(found.get(name, Control(name)), self._clock())


def _shown(control: Control, now: Micros) -> TypeBody:
    phase, circuit = control.phase(now), control.circuit
    return TypeBody(
        control.type,
        None if control.pause is None else _shown_pause(control.pause),
        control.limit,
        control.key_limit,
        None if control.breaker is None else _shown_breaker(control.breaker),
        phase,
        None if circuit.opened is None else rfc3339(circuit.opened),
        rfc3339(circuit.until) if phase is Phase.OPEN and circuit.until is not None else None,
        control.rate,
        control.key_rate,
        control.pull,
    )


def _shown_pause(pause: Pause) -> PauseBody:
    return PauseBody(rfc3339(pause.at), pause.by, pause.reason)


def _shown_breaker(breaker: Breaker) -> BreakerBody:
    return BreakerBody(
        breaker.share,
        breaker.window / SECOND,
        breaker.minimum,
        breaker.pause / SECOND,
        breaker.probes,
        breaker.excuse,
    )
