"""Mutants of the worker, the supervisor, the sweeper and the monitor."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.simulation import checker
from tests.simulation.mutant import mutant
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Claimed, Held, Report
from unlost.supervisor.workers.workers import Workers
from unlost.upkeep.monitor import Monitor
from unlost.upkeep.sweeper import Sweeper
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.settling.settler import Settler, Unsettled
from unlost.worker.settling.stopping import Stopping
from unlost.worker.worker import Worker


@mutant(checker.SETTLED_ONCE)
class SettlesFirst(Worker):
    """settled before it ran: a success is told before the handler is done."""

    async def _claim(self, count: int) -> list[Claimed]:
        claimed = await super()._claim(count)
        for one in claimed:
            self._settle(one, attempt.NOTHING)
        return claimed


class _Forgetful(Settler):
    async def _put_off(self, batch: list[Unsettled], error: LedgerUnavailable) -> None:
        del self._waiting[: len(batch)]


@mutant(checker.NOTHING_IS_LOST)
class DropsSettlements(Worker):
    """settlement dropped: the worker tries only once to reach the ledger."""

    def __init__(self, ledger: Any, *args: Any, **options: Any) -> None:
        super().__init__(ledger, *args, **options)
        self._settler = _Forgetful(ledger, options["random"], self._recorder)


@mutant(checker.BOUNDED, within=400)
class ClaimsOn(Worker):
    """claims on while nothing is settled: a slot is free as soon as its handler has ended."""

    def _room(self) -> int:
        return self._slots - len(self._runner)


@mutant(checker.NOTHING_IS_LOST, within=250)
class ForgetsClaims(Worker):
    """in-doubt claim forgotten: what it took without hearing of it runs for ever."""

    async def _release_unknown(self) -> None:
        self._in_doubt = False


@mutant(checker.NOTHING_IS_LOST)
class TrustsHints(Worker):
    """hints trusted: without one, the worker never looks again."""

    async def _listen(self) -> None:
        while True:
            await self._ledger.wait(1e6)
            self._hint.set()

    async def _sleep_until_due(self, empty: int) -> None:
        await super()._sleep_until_due(empty) if self._alone else await self._hint.wait()


@mutant(checker.BACKOFF)
class RetryAfterIgnored(Worker):
    """Retry(after) ignored: the handler's own wait is not kept."""

    def _settle(self, known: Claimed | Held, ended: Ended, seconds: float | None = None) -> None:
        at_once = Ended(ended.outcome, ended.error, ended.result, 0.0, ended.final)
        super()._settle(known, at_once, seconds)


@mutant(checker.TOLD, first=200)
class TellsNobody(Worker):
    """cancel not told: the handler of a cancelled task runs on."""

    async def _look_for_dropped(self) -> None:
        await asyncio.Event().wait()


class _Unmoved(Stopping):
    def concerns(self, ended: Ended) -> bool:
        return False


class _Impatient(Stopping):
    async def _is_told(self) -> bool:
        return self._told.is_set()


class _Lenient(Stopping):
    async def _before(self, claimed: Claimed) -> None:
        return None


class _StopsWith(Worker):
    kind: type[Stopping] = Stopping

    def __init__(self, ledger: Any, *args: Any, **options: Any) -> None:
        super().__init__(ledger, *args, **options)
        self._stopping = self.kind(ledger, options["random"], self._settle)


@mutant(checker.COSTS, within=400)
class StopsCost(_StopsWith):
    """stops cost: what fails since its process was told to stop has failed."""

    kind = _Unmoved


@mutant(checker.COSTS, within=100, first=390)
class DoesNotWaitForStops(_StopsWith):
    """a stop not waited for: a program that its signal ends before has failed."""

    kind = _Impatient


@mutant(checker.COSTS, within=3000)
class ReleasesForEver(_StopsWith):
    """released for ever: a handler that fails at each stop never comes to an end."""

    kind = _Lenient


@mutant(checker.COSTS)
class DeathsAreFree(Workers):
    """worker's death for free: what a dead worker ran is released."""

    async def _settle(self, worker: str, *, meant: bool) -> None:
        await super()._settle(worker, meant=True)


@mutant(checker.NOTHING_IS_LOST)
class WaitsForStarts(Workers):
    """start without a deadline: a child whose start hangs is waited for."""

    def add(self, child: Any) -> None:
        super().add(child)
        child.born += 1e6


@mutant(checker.TOLD, within=600)
class OverlooksIdle(Workers):
    """hung and idle: a worker that a cancelled handler blocks is kept."""

    async def _overdue(self, child: Any, silent: float) -> bool:
        return await super()._overdue(child, 0.0)


@mutant(checker.LOST)
class ReapsTheLiving(Sweeper):
    """sweeper reaps living workers: what ran at the last pass and runs at this one is lost."""

    async def reap(self) -> None:
        page = await self._ledger.entries(0, 100)
        for worker in sorted({entry.worker for entry in page if entry.worker}):
            left = await self._ledger.held(worker)
            ends = [
                attempt.settlement(one, attempt.LOST, self._settings.backoff, self._draw)
                for one in left
            ]
            await self._ledger.settle(ends)


@mutant(checker.REPORTS)
class RecordsFirst(Monitor):
    """recorded before it is logged: a monitor that dies between loses the report."""

    async def _write_once(self, report: Report) -> bool:
        await self._ledger.reported([report.id])
        return await super()._write_once(report)


@mutant(checker.REPORTS, first=200)
class ForgetsWritten(Monitor):
    """written again: what could not be recorded is logged once more."""

    async def _record(self) -> None:
        known, self._unrecorded = self._unrecorded, set()
        if known:
            await self._ledger.reported(known)


@mutant(checker.REPORTS, within=200)
class RecordsUnwritten(Monitor):
    """recorded though not written: a full disk swallows the report."""

    async def _write_once(self, report: Report) -> bool:
        await super()._write_once(report)
        self._unrecorded.add(report.id)
        return True
