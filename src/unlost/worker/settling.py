"""Settlements on their way to the ledger."""

from __future__ import annotations

import asyncio
import logging
from random import Random

from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Settlement
from unlost.policy import Backoff
from unlost.tracing import OFF, Tracing

AGAIN = Backoff(base=0.1, cap=2.0)
"""How long to leave a ledger alone that does not answer."""

log = logging.getLogger("unlost.worker.settling")


class Settler:
    """Settles attempts in batches: whatever waits goes in one call.

    What the ledger did not take is brought again until it answers; nothing is dropped.
    """

    def __init__(self, ledger: Ledger, random: Random, tracing: Tracing = OFF) -> None:
        self._ledger = ledger
        self._tracing = tracing
        self._random = random
        self._waiting: list[Settlement] = []
        self._under_way: list[Settlement] = []
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, settlement: Settlement) -> None:
        """Have an attempt settled."""
        if not self._waiting:
            self._some.set()
            self._none.clear()
        self._waiting.append(settlement)

    @property
    def tokens(self) -> set[str]:
        """The attempts that are not settled yet."""
        return {settlement.token for settlement in (*self._waiting, *self._under_way)}

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

    async def _settle(self, batch: list[Settlement]) -> None:
        tries = 0
        while True:
            try:
                held = await self._ledger.settle(batch)
            except LedgerUnavailable as error:
                tries += 1
                if tries == 1:
                    log.warning("ledger.unavailable", extra={"why": str(error)})
                await asyncio.sleep(AGAIN.wait(tries, self._random.random()))
            else:
                self._tracing.settled(batch, held)
                if not all(held):
                    _tell_refused(batch, held)
                return


def _tell_refused(batch: list[Settlement], held: list[bool]) -> None:
    for settlement, good in zip(batch, held, strict=True):
        if not good:  # cancelled, or reaped and perhaps run by another
            told = {"taskId": settlement.task_id, "outcome": settlement.outcome}
            log.info("attempt.refused", extra=told)
