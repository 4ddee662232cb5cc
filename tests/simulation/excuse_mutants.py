"""Mutants of how failures are excused."""

from __future__ import annotations

from msgspec.structs import replace

from tests.simulation import checker
from tests.simulation.mutant import mutant
from unlost.effects import Forget
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.memory.kept.task import Kept
from unlost.ledger.values import Claimed, Held, Settled, Settlement
from unlost.task import Act, Micros, Outcome
from unlost.worker.attempt import Ended
from unlost.worker.worker import Worker


@mutant(checker.EXCUSED)
class NeverEnds(MemoryLedger):
    """an excuse that never ends: those that were made are not counted."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        held = super()._settle(end, now)
        if kept is not None and (end.excused or held is Settled.EXCUSED):
            kept.record = replace(kept.record, excused_count=0)
        return held


@mutant(checker.COUNTED)
class SpendsARetry(MemoryLedger):
    """an excuse that spends a retry: a task dies of what was nobody's fault."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        held = super()._settle(end, now)
        if kept is not None and (end.excused or held is Settled.EXCUSED):
            kept.spent += 1
        return held


@mutant(checker.EXCUSED)
class NotKept(MemoryLedger):
    """an excuse that is not kept: nobody sees which attempts were excused."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        held = super()._settle(end, now)
        if kept is not None and (end.excused or held is Settled.EXCUSED):
            *past, last = kept.record.attempts
            kept.record = replace(kept.record, attempts=(*past, replace(last, excused=False)))
        return held


@mutant(checker.EXCUSED)
class RedriveKeepsCount(MemoryLedger):
    """redrive keeps the excuses: a redriven task has none left."""

    def _redrive(
        self, kept: Kept, act: Act, due_at: Micros, payload: str | None, forget: Forget
    ) -> None:
        excused = kept.record.excused_count
        super()._redrive(kept, act, due_at, payload, forget)
        kept.record = replace(kept.record, excused_count=excused)


@mutant(checker.COUNTED)
class UncountedAttempt(MemoryLedger):
    """excused attempt not counted: it is as if it had been released."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        held = super()._settle(end, now)
        if kept is not None and (end.excused or held is Settled.EXCUSED):
            count = kept.record.attempt_count - 1
            kept.record = replace(kept.record, attempt_count=count)
        return held


@mutant(checker.EXCUSED)
class LossExcused(MemoryLedger):
    """loss excused: a task that kills its worker is tried for ever."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        if end.outcome is Outcome.LOST:
            end = replace(end, excusable=0).by_breaker
        return super()._settle(end, now)


@mutant(checker.EXCUSED)
class AnyFailureExcused(MemoryLedger):
    """any failure excused: a breaker need not be there."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        return super()._settle(end.by_breaker, now)


@mutant(checker.EXCUSED)
class NotHeard(Worker):
    """excuse not heard: the worker settles the failure as any other."""

    def _settle(self, known: Claimed | Held, ended: Ended, seconds: float | None = None) -> None:
        super()._settle(known, replace(ended, excused=False), seconds)
