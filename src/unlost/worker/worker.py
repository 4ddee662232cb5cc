"""The worker of a service: it claims from the ledger and settles there."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Protocol

from unlost.batches import BatchSize
from unlost.handlers import Handlers
from unlost.ledger import protocol, values
from unlost.ledger.protocol import Hints, LedgerUnavailable, Workers
from unlost.ledger.protocol.transacting import Transacting
from unlost.ledger.values import Claim, Claimed, Held, Settlement
from unlost.ledger.waking import Woken
from unlost.limits.control import Claimant
from unlost.settings import Settings
from unlost.task import SECOND
from unlost.telemetry.measuring import Recorder
from unlost.tracing import OFF, Tracing
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.effects.follow_ups import FollowUpLedger
from unlost.worker.ending import Ending
from unlost.worker.enlisting import enlist
from unlost.worker.settling.concluding import Concluding
from unlost.worker.settling.settler import Settler, Settling
from unlost.worker.settling.stopping import HoldingBack, Stopping
from unlost.worker.working import Working

LONGEST_SLEEP = 1.0
"""Seconds after which a worker looks for due tasks without any hint."""


class WorkerLedger(FollowUpLedger, Workers, protocol.Steps, Hints, Protocol):
    """What a worker needs of a ledger."""


class Worker(Working):
    """Runs attempts of a ledger's tasks.  Somebody else extends its lease.

    A worker that runs `alone` takes only tasks whose last attempt was lost, one at a time, and
    stops when none is due.
    """

    _last: Claim | None = None
    _in_doubt = False  # whether the last claim's answer was lost

    def __init__(
        self,
        ledger: WorkerLedger,
        handlers: Handlers,
        settings: Settings,
        *,
        worker_id: str,
        random: Random,
        alone: bool = False,
        recorder: Recorder | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        self._ledger = ledger
        self._concluding = Concluding(settings, random, tracing)
        super().__init__(
            ledger,
            handlers,
            settings,
            worker_id=worker_id,
            random=random,
            alone=alone,
            recorder=recorder,
            tracing=tracing,
            transacting=ledger if isinstance(ledger, Transacting) else None,
        )

    def _settling(self) -> Settling:
        return Settler(
            self._ledger,
            self._random,
            self._recorder,
            self._tracing,
            settled=self._freed.set,
            size=BatchSize.of(self.batch),
        )

    def _holding_back(self) -> HoldingBack:
        return Stopping(self._ledger, self._random, self._settle)

    def settlement(self, known: Claimed | Held, ended: Ended) -> Settlement:
        """What the ledger is to be told of this end."""
        return self._concluding.settlement(known, ended)

    async def _enlist(self) -> None:
        types = None if self._types is None else tuple(self._types)
        stand_in = self._claimant is Claimant.STAND_IN
        myself = values.Worker(self.id, types, self._alone, self._slots, stand_in=stand_in)
        await enlist(self._ledger, myself, round(self._settings.lease * SECOND), self._random)

    async def _settle_doubt(self) -> None:
        if self._in_doubt:
            await self._release_unknown()

    async def _claim(self, count: int) -> list[Claimed]:
        tokens = [f"{self._random.getrandbits(96):024x}" for _ in range(count)]
        limits = self._settings.limits
        claim = Claim(self.id, tokens, self._types, limits, self._alone, self._claimant)
        self._last, self._in_doubt = claim, True
        try:
            claimed = await self._ledger.claim(claim)
        except LedgerUnavailable:
            self._size = self._size.failed(count)
            raise
        self._in_doubt = False
        self._size = self._size.succeeded()
        return claimed

    async def _renew_lease(self) -> None:
        """Have a lease again after an outage that no heartbeat got through, or end: who was struck
        off gets none."""
        lease = round(self._settings.lease * SECOND)
        if self.id not in await self._ledger.extend([self.id], lease):
            self._end.tell(Ending.LEASE_OVER)

    async def _release_unknown(self) -> None:
        """Release what a claim took whose answer was lost: its handlers never started."""
        known = self._runner.tokens().keys() | self._settler.tokens | self._stopping.tokens
        if self._transactions is not None:
            known |= self._transactions.tokens
        for held in await self._ledger.held(self.id):
            if held.token not in known:
                self._settle(held, attempt.RELEASED)
        self._in_doubt = False

    async def _sleep_until_due(self, empty: int) -> None:
        if self._alone and not len(self._runner):
            return self._end.tell(Ending.NOTHING_DUE)
        wait = await self._ledger.due_in(
            self._types, alone=self._alone, claimant=self._claimant, after=self._last
        )
        if wait is None:
            await self._hint.wait()
            return None
        shortest = min(LONGEST_SLEEP, 0.0005 * 2 ** min(empty, 11)) if empty else 0.0
        seconds = max(wait / SECOND, shortest)
        timer = asyncio.get_running_loop().call_later(seconds, self._hint.set)
        await self._hint.wait()
        timer.cancel()
        return None

    async def _listen(self) -> None:
        """Wake the claims at every hint that may be about our types, and each second."""
        loop = asyncio.get_running_loop()
        look = loop.time() + LONGEST_SLEEP
        while True:
            types: Woken = None
            try:
                types = await self._ledger.wait(LONGEST_SLEEP)
            except LedgerUnavailable:
                await asyncio.sleep(LONGEST_SLEEP)
            ours = types is None or self._types is None or not types.isdisjoint(self._types)
            if ours or loop.time() >= look:
                self._hint.set()
                look = loop.time() + LONGEST_SLEEP
