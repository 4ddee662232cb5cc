"""How a worker claims: for its free slots, as soon as something may be due."""

from __future__ import annotations

import asyncio

from unlost.batches import BatchSize
from unlost.ledger.protocol import LeaseOver, LedgerUnavailable
from unlost.ledger.values import Claim, Claimed
from unlost.ledger.waking import Woken
from unlost.task import SECOND
from unlost.telemetry.logs import Log
from unlost.worker import attempt
from unlost.worker.ending import Ending
from unlost.worker.executing import Executing
from unlost.worker.unavailable import leave_alone

LONGEST_SLEEP = 1.0
"""Seconds after which a worker looks for due tasks without any hint."""

log = Log("unlost.worker")


class Claiming(Executing):
    """Claims due tasks for the slots that are free, and starts them."""

    _in_doubt = False  # whether the last claim's answer was lost
    _size = BatchSize()

    async def _claim_until_told(self) -> Ending:
        tries = empty = 0  # in a row
        while self._end.why is None:
            try:
                found = await self._claim_once(empty)
                tries, empty = 0, 0 if found else empty + 1
            except LedgerUnavailable as error:
                tries += 1
                await leave_alone(tries, error, self._random, log)
        return self._end.why

    async def _claim_once(self, empty: int) -> bool:
        """Claim for the free slots, and sleep if that found too little; whether it found any.

        `empty` claims before this one found nothing.
        """
        if self._in_doubt:
            await self._release_unknown()
        self._hint.clear()
        self._freed.clear()
        free = self._room()
        if not free:
            await self._freed.wait()
            return True
        try:
            claimed = await self._claim(free)
        except LeaseOver:
            await self._renew_lease()
            return False
        for one in claimed:
            self._recorder.started(one)
            self._runner.start(one)
        if len(claimed) < free:
            await self._sleep_until_due(0 if claimed else empty + 1)
        return bool(claimed)

    def _room(self) -> int:
        """How many attempts may start now.

        None while a whole batch of those that ended is not settled: for the ledger they still run.
        """
        if self._settler.full:
            return 0
        used = len(self._runner) + len(self._stopping) + len(self._transactions or ())
        return min(self._slots - used, self._size.now)

    async def _claim(self, count: int) -> list[Claimed]:
        tokens = [f"{self._random.getrandbits(96):024x}" for _ in range(count)]
        claim = Claim(self.id, tokens, self._types, self._settings.limits, self._alone)
        self._in_doubt = True
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
        """Sleep until a task may be due.

        After `empty` claims in a row that found nothing although something was said to be due
        (another worker took it, or it is not ours to take), a little longer each time.
        """
        if self._alone and not len(self._runner):
            return self._end.tell(Ending.NOTHING_DUE)
        wait = await self._ledger.due_in(self._types, alone=self._alone)
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
