"""Settlements on their way to the ledger."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import msgspec

from unlost.ledger.protocol import Attempts, LedgerUnavailable
from unlost.ledger.values import Settlement
from unlost.measuring import Recorder
from unlost.tracing import OFF, Tracing
from unlost.worker.unavailable import leave_alone

log = logging.getLogger("unlost.worker.settling")


class Unsettled(msgspec.Struct, frozen=True, gc=False):
    """An attempt to be settled, and what is counted once it is (see `Recorder.settled`)."""

    settlement: Settlement
    type: str
    seconds: float | None


class Settler:
    """Settles attempts in batches, and records them: whatever waits goes in one call.

    What the ledger did not take is brought again until it answers; nothing is dropped.
    """

    def __init__(
        self, ledger: Attempts, random: Random, recorder: Recorder, tracing: Tracing = OFF
    ) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._tracing = tracing
        self._random = random
        self._waiting: list[Unsettled] = []
        self._under_way: list[Unsettled] = []
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, one: Unsettled) -> None:
        """Have an attempt settled."""
        if not self._waiting:
            self._some.set()
            self._none.clear()
        self._waiting.append(one)

    @property
    def tokens(self) -> set[str]:
        """The attempts that are not settled yet."""
        return {one.settlement.token for one in (*self._waiting, *self._under_way)}

    async def all_settled(self) -> None:
        """Return once nothing waits."""
        await self._none.wait()

    async def run(self) -> None:
        """Settle what is added, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            self._under_way, self._waiting = self._waiting, []
            await self._settle(self._under_way)
            self._under_way = []
            if not self._waiting:
                self._none.set()

    async def _settle(self, batch: list[Unsettled]) -> None:
        settlements = [one.settlement for one in batch]
        tries = 0
        while True:
            try:
                held = await self._ledger.settle(settlements)
            except LedgerUnavailable as error:
                tries += 1
                await leave_alone(tries, error, self._random, log)
            else:
                self._tracing.settled([one.settlement for one in batch], held)
                self._record(batch, held)
                return

    def _record(self, batch: list[Unsettled], held: list[bool]) -> None:
        for one, good in zip(batch, held, strict=True):
            done = one.settlement
            if good:
                self._recorder.settled(one.type, done, one.seconds)
            else:  # cancelled, or reaped and perhaps run by another
                told = {"taskId": done.task_id, "outcome": done.outcome}
                log.info("attempt.refused", extra=told)
