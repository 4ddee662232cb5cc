"""Mutants of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from tests.simulation import checker
from tests.simulation.mutant import mutant
from unlost.effects import Forget
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.memory.kept.task import Kept
from unlost.ledger.values import (
    Claim,
    Claimed,
    Held,
    Report,
    Settled,
    Settlement,
    Submitted,
    Verdict,
)
from unlost.task import Act, Micros, Outcome, State, Submission

REAPED = (Outcome.LOST, Outcome.TIMED_OUT)


@mutant(checker.SETTLED_ONCE)
class NoFencing(MemoryLedger):
    """no fencing: any settlement of a running task holds."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._tasks.get(end.task_id)
        if kept is None or kept.token is None:
            return Settled.REFUSED
        return super()._settle(replace(end, token=kept.token), now)


@mutant(checker.SETTLED_ONCE, within=250)
class ReapedWithoutToken(MemoryLedger):
    """reap without the token: what was lost or timed out is settled whoever runs by now."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._tasks.get(end.task_id)
        if end.outcome in REAPED and kept is not None and kept.token is not None:
            end = replace(end, token=kept.token)
        return super()._settle(end, now)


@mutant(checker.LOST)
class ReapWithoutLease(MemoryLedger):
    """reap without the lease: whoever runs anything is taken for dead."""

    async def held(self, worker: str | None) -> list[Held]:
        if worker is not None:
            return await super().held(worker)
        return [
            one for name in self._workers for one in await super(ReapWithoutLease, self).held(name)
        ]


@mutant(checker.COUNTED)
class CountedAfterwards(MemoryLedger):
    """attempt counted after the run: a death in the middle costs nothing."""

    def _start(self, kept: Kept, token: str, claim: Claim, now: Micros) -> Claimed:
        claimed = super()._start(kept, token, claim, now)
        kept.spent -= 1
        return claimed

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        if kept is not None and end.outcome is not Outcome.LOST:
            kept.spent += 1
        return super()._settle(end, now)


@mutant(checker.COUNTED)
class ReleasedCharged(MemoryLedger):
    """released attempt charged: a clean shutdown costs an attempt."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        held = super()._settle(end, now)
        if held and kept is not None and end.outcome is Outcome.RELEASED:
            kept.spent += 1
        return held


@mutant(checker.COUNTED)
class LostNotCharged(MemoryLedger):
    """lost attempt not charged: a task that kills its worker is tried for ever."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        held = super()._settle(end, now)
        if held and kept is not None and end.outcome is Outcome.LOST:
            kept.spent -= 1
        return held


@mutant(checker.SETTLED_ONCE)
class CancelDoesNotFence(MemoryLedger):
    """cancel does not fence: what the running attempt returns counts."""

    async def cancel(
        self, task_id: str, by: str | None, reason: str | None, *, api_key: str | None = None
    ) -> None:
        kept = self._find(task_id)
        token = kept.token
        await super().cancel(task_id, by, reason)
        if token is not None:
            self._running[token] = kept
            kept.token, kept.worker = token, "gone"

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        if kept is None or kept.record.state is not State.CANCELLED:
            return super()._settle(end, now)
        del self._running[end.token]
        kept.token = kept.worker = None
        kept.record = replace(kept.record, state=State.SUCCEEDED, result=end.result)
        return Settled.HELD


@mutant(checker.COUNTED)
class RedriveKeepsSpent(MemoryLedger):
    """redrive keeps spent attempts: a redriven task dies at once."""

    def _redrive(
        self, kept: Kept, act: Act, due_at: Micros, payload: str | None, forget: Forget
    ) -> None:
        spent = kept.spent
        super()._redrive(kept, act, due_at, payload, forget)
        kept.spent = spent


@mutant(checker.DONE_ONCE, first=900)
class CallsNotCompared(MemoryLedger):
    """calls are not compared: one that comes twice redrives what has died again meanwhile."""

    async def redrive(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        payload: str | None = None,
        *,
        api_key: str | None = None,
        call: str | None = None,
        forget: Forget | None = None,
    ) -> None:
        await super().redrive(task_id, by, reason, payload, api_key=api_key, forget=forget)


@mutant(checker.ONE_TASK)
class NoConflict(MemoryLedger):
    """conflict check dropped: another payload is a replay."""

    def _submit(self, new: Submission, now: Micros) -> Submitted:
        if new.task_id in self._tasks:
            return Submitted(Verdict.REPLAYED)
        return super()._submit(new, now)


@mutant(checker.ONE_TASK)
class Overwrites(MemoryLedger):
    """duplicate submit overwrites: the last payload wins."""

    def _submit(self, new: Submission, now: Micros) -> Submitted:
        known = self._tasks.get(new.task_id)
        answer = super()._submit(new, now)
        if known is not None:
            known.record = replace(known.record, payload=new.payload, digest=new.digest)
        return answer


@mutant(checker.SUMS)
class AcknowledgedEarly(MemoryLedger):
    """ack before commit: a submit is stored with the next one, if there is a next one."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self._unstored: list[Submission] = []

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        await super().submit(self._unstored)
        self._unstored = [one for one in submissions if one.task_id not in self._tasks]
        known = [one for one in submissions if one.task_id in self._tasks]
        answers = {
            one.task_id: answer
            for one, answer in zip(known, await super().submit(known), strict=True)
        }
        return [answers.get(one.task_id, Submitted(Verdict.ACCEPTED)) for one in submissions]


@mutant(checker.BACKOFF)
class BackoffIgnored(MemoryLedger):
    """backoff ignored on reclaim: what waits for its retry is taken at once."""

    async def claim(self, claim: Claim) -> list[Claimed]:
        for kept in self._waiting.values():
            if kept.record.state is State.RETRYING:
                kept.record = replace(kept.record, due_at=min(kept.due_at, self._now()))
        return await super().claim(claim)


@mutant(checker.ALONE)
class NeverAlone(MemoryLedger):
    """not alone: a task that killed its worker takes neighbours with it again."""

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        held = super()._settle(end, now)
        if kept is not None:
            kept.alone = False
        return held


@mutant(checker.REPORTS, within=300)
class PurgeDropsReports(MemoryLedger):
    """purge before report: what is purged is not reported any more."""

    async def purge(self, before: Micros, limit: int) -> int:
        for task in self._tasks.values():
            if task.record.state in (State.SUCCEEDED, State.CANCELLED):
                for report, _ in list(self._reports.values()):
                    if report.task_id == task.record.task_id:
                        del self._reports[report.id]
        return await super().purge(before, limit)


@mutant(checker.REPORTS)
class ReportsNotLeased(MemoryLedger):
    """reports not leased: two monitors get the same one."""

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        return await super().claim_reports(limit, 0)


@mutant(checker.SUMS)
class CancelNotCounted(MemoryLedger):
    """cancel not counted: the counters lose what a person does."""

    async def cancel(
        self, task_id: str, by: str | None, reason: str | None, *, api_key: str | None = None
    ) -> None:
        await super().cancel(task_id, by, reason)
        self._states[State.CANCELLED] -= 1
