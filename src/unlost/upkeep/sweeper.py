"""The sweeper: settles what workers whose lease is over have left, and keeps the ledger tidy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from unlost.batches import BatchSize
from unlost.ledger.protocol import Ledger, LedgerUnavailable, Pulling
from unlost.ledger.unavailable import log_unavailable
from unlost.settings import Settings
from unlost.task import SECOND, Micros
from unlost.telemetry.logs import Log
from unlost.telemetry.measuring import Recorder
from unlost.tracing import OFF, Tracing
from unlost.worker import attempt
from unlost.worker.settling.reaping import Reaping

INTERVAL = 1.0
"""Seconds between two passes; a quarter of the lease where that is shorter."""

log = Log("unlost.sweeper")


class Sweeper:
    """Sweeps a ledger, in any number of processes at once.

    `clock` is the ledger's time, `monotonic` one that only a pause of this process holds up; None
    where no heartbeat extends leases, so that one that is over always says what it says.
    What it settles is counted by `recorder`.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        *,
        clock: Callable[[], Micros],
        monotonic: Callable[[], float] | None,
        random: Random,
        recorder: Recorder | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic or (lambda: 0.0)
        self._draw = attempt.draws(settings.seed, random)
        self._reaping = Reaping(ledger, settings, self._draw, recorder or Recorder(), tracing, log)
        self._purged = BatchSize()  # tasks in one step
        self._interval = min(INTERVAL, settings.lease / 4)
        self._written_at = self._monotonic()  # when the ledger last answered a write of this one's
        self._reap_from = 0.0

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.sweep()
            except LedgerUnavailable as error:
                log_unavailable(log, error)

    async def sweep(self) -> None:
        """One pass.  Raises LedgerUnavailable.

        A lost attempt that nobody can settle, since somebody has locked its record, say, keeps no
        other from being timed out, nor anything from being purged.
        """
        failures: list[LedgerUnavailable] = []
        for part in (self.reap, self.time_out, self.purge):
            try:
                await part()
            except LedgerUnavailable as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def reap(self) -> None:
        """Settle as lost what workers whose lease is over still hold.  Raises LedgerUnavailable.

        A lease that is over tells nothing while heartbeats cannot be written, though reads may be
        answered.  So there is a write every few seconds, and before anything is settled, and what
        is settled was over when it was looked at again after that.
        """
        left = await self._ledger.held(None)
        if left or self._monotonic() - self._written_at >= self._settings.lease / 6:
            await self._write()
        if not left or self._held_up():
            return
        left = await self._ledger.held(None)
        if self._held_up():
            return
        await self._reaping.settle(left, lambda _: attempt.LOST, self._write)
        for worker in dict.fromkeys(one.worker for one in left):
            await self._ledger.dismiss(worker, expired=True)

    async def time_out(self) -> None:
        """Settle as timed out what workers that claim by the API run beyond its time: nobody else
        does.  Raises LedgerUnavailable."""
        if isinstance(self._ledger, Pulling) and (late := await self._ledger.overtime()):
            await self._reaping.settle(
                late, lambda one: attempt.timed_out(one.timeout), self._write
            )

    async def _write(self) -> None:
        """Have the ledger answer a write, and see how long it took none.

        Raises LedgerUnavailable.
        """
        await self._ledger.ping()
        now = self._monotonic()
        if self._is_long(now - self._written_at):
            self._reap_from = now + self._settings.lease
        self._written_at = now

    def _held_up(self) -> bool:
        """Whether others' heartbeats may have been held up: nothing came of this process's own
        writes for a while, since it slept, as the machine did, or the ledger was away.

        A lease that is over proves nothing then until another one has passed.
        """
        now = self._monotonic()
        return now < self._reap_from or self._is_long(now - self._written_at)

    def _is_long(self, gap: float) -> bool:
        return gap > self._interval + self._settings.lease / 3

    async def purge(self) -> None:
        """Forget what ended too long ago.  Raises LedgerUnavailable."""
        more = (retain := self._settings.retain) is not None
        before = self._clock() - round((retain or 0) * SECOND)
        while more:
            limit = self._purged.now
            try:
                more = await self._ledger.purge(before, limit) == limit
            except LedgerUnavailable:
                self._purged = self._purged.failed(limit)
                raise
            self._purged = self._purged.succeeded()
            if more:  # however long all of it takes, the lost are reaped meanwhile
                await self.reap()
