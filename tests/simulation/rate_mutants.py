"""Mutants of how starts are counted for a rate."""

from __future__ import annotations

from typing import Any

from tests.simulation import checker
from tests.simulation.mutant import mutant
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import Claim, Claimed, Settled, Settlement
from unlost.limits.control import Paced
from unlost.limits.rate import Pace
from unlost.task import Micros, Outcome

UNDONE = (Outcome.RELEASED, Outcome.LOST)


@mutant(checker.RATES, within=200)
class StartsNotCounted(MemoryLedger):
    """starts not counted: what was claimed leaves the rate as it was."""

    async def claim(self, claim: Claim) -> list[Claimed]:
        before = dict(self._controls._paces)
        claimed = await super().claim(claim)
        self._controls._paces = before
        return claimed


@mutant(checker.RATES, first=200)
class GivenBack(MemoryLedger):
    """start given back: a lost or released attempt has not used it."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        held = super()._settle(end, now)
        if held and kept is not None and end.outcome in UNDONE:
            self._controls._paces.pop((kept.record.type, None), None)
        return held


@mutant(checker.RATES, within=200)
class RetriesFree(MemoryLedger):
    """retries are free: only first attempts count as starts."""

    async def claim(self, claim: Claim) -> list[Claimed]:
        before = dict(self._controls._paces)
        claimed = await super().claim(claim)
        if all(one.number > 1 for one in claimed):
            self._controls._paces = before
        return claimed


@mutant(checker.RATES, within=200)
class RateOfEachWorker(MemoryLedger):
    """rate of each worker: what others started is not seen."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self._paces_of: dict[str, dict[Paced, Pace]] = {}

    async def claim(self, claim: Claim) -> list[Claimed]:
        self._controls._paces = self._paces_of.get(claim.worker, {})
        claimed = await super().claim(claim)
        self._paces_of[claim.worker] = self._controls._paces
        return claimed


@mutant(checker.RATES, within=200)
class KeysNotPaced(MemoryLedger):
    """keys not paced: only the type's starts are counted."""

    async def claim(self, claim: Claim) -> list[Claimed]:
        claimed = await super().claim(claim)
        paces = self._controls._paces
        self._controls._paces = {one: pace for one, pace in paces.items() if one[1] is None}
        return claimed
