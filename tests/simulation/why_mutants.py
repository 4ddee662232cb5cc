"""Mutants of what a ledger tells of a task that waits."""

from __future__ import annotations

from msgspec.structs import replace

from tests.simulation import checker
from tests.simulation.mutant import mutant
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.memory.kept.task import Kept
from unlost.ledger.values import Enlisted
from unlost.limits.why import Facts
from unlost.task import Micros


class Telling(MemoryLedger):
    """Tells what it should, until a mutant changes it."""

    def _facts(self, kept: Kept, now: Micros, most_before: int) -> Facts:
        facts = super()._facts(kept, now, most_before)
        return facts if facts.record.due_at is None else self._told(facts)

    def _told(self, facts: Facts) -> Facts:
        return facts


@mutant(checker.EXPLAINED)
class AloneForgotten(Telling):
    """alone not told: a lost task waits for any worker."""

    def _told(self, facts: Facts) -> Facts:
        return replace(facts, alone=False)


@mutant(checker.EXPLAINED, within=600)
class LeaseForgotten(Telling):
    """leases not looked at: the dead serve."""

    def _living(self) -> list[Enlisted]:
        return [self._enlisted(name) for name in sorted(self._workers)]


@mutant(checker.EXPLAINED)
class WorkersForgotten(Telling):
    """nobody serves: no worker is told of."""

    def _told(self, facts: Facts) -> Facts:
        return replace(facts, workers=())


@mutant(checker.EXPLAINED, within=200)
class RunningForgotten(Telling):
    """what runs not told: no limit is ever reached."""

    def _told(self, facts: Facts) -> Facts:
        return replace(facts, taken=replace(facts.taken, of_type=0, of_key=0))


@mutant(checker.EXPLAINED, within=200)
class KeysMixed(Telling):
    """keys mixed: what runs with any key counts for each."""

    def _told(self, facts: Facts) -> Facts:
        if facts.control is None or facts.control.key_limit is None or facts.record.key is None:
            return facts
        return replace(facts, taken=replace(facts.taken, of_key=len(self._running)))


@mutant(checker.EXPLAINED, within=300)
class ProbesForgotten(Telling):
    """probes not told: a breaker that is half open lets everybody pass."""

    def _told(self, facts: Facts) -> Facts:
        return replace(facts, taken=replace(facts.taken, probes=0))


@mutant(checker.EXPLAINED)
class BeforeTooMany(Telling):
    """those before it counted with those after it."""

    def _told(self, facts: Facts) -> Facts:
        return replace(facts, before=len(self._waiting))


@mutant(checker.EXPLAINED)
class ControlForgotten(Telling):
    """what is set for the type not told."""

    def _told(self, facts: Facts) -> Facts:
        return replace(facts, control=None)


@mutant(checker.EXPLAINED, within=300)
class RatesForgotten(Telling):
    """rates not told: what has started lately holds nothing up."""

    def _told(self, facts: Facts) -> Facts:
        return replace(facts, type_free_at=None, key_free_at=None)
