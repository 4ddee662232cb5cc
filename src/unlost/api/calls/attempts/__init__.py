"""The calls of workers that claim by the API."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from unlost.api.calls.attempts.awaiting import Awaiting
from unlost.api.calls.attempts.claiming import Claiming
from unlost.api.calls.attempts.emptying import Emptying
from unlost.api.calls.attempts.holding import Holding
from unlost.api.calls.attempts.pulls import PullingLedger, Pulls
from unlost.api.calls.attempts.settling import Settling
from unlost.api.calls.watching.watch import Watch
from unlost.api.frame import Frame
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import attempts as op
from unlost.settings import Settings
from unlost.task import Micros
from unlost.telemetry.measuring import Recorder


def routes(
    ledger: PullingLedger,
    watch: Watch,
    recorder: Recorder,
    settings: Settings,
    clock: Callable[[], Micros],
    frame: Frame,
    random: Random,
) -> list[Route]:
    """What leads here."""
    pulls = Pulls(ledger, settings, recorder, random)
    awaiting, emptying = Awaiting(ledger, watch), Emptying(ledger, clock)
    claiming = Claiming(pulls, awaiting, emptying, settings.limits, frame, random)
    holding = Holding(pulls)
    return [
        Route(op.CLAIM, responding(claiming.claim)),
        Route(op.EXTEND, responding(holding.extend)),
        Route(op.STEP, responding(holding.step)),
        Route(op.SETTLE, responding(Settling(pulls, clock, frame).settle)),
    ]
