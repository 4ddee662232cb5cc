"""Effects that handlers declare, on their way to the ledger: at once, and whatever becomes of their
attempts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from random import Random
from typing import Final

from unlost.effects import MAX_EFFECTS, effect_name
from unlost.ledger import protocol
from unlost.ledger.protocol import LedgerGone, LedgerUnavailable
from unlost.ledger.values import Claimed, NewEffect
from unlost.telemetry.logs import Log
from unlost.worker.unavailable import leave_alone

AT_ONCE: Final = 500
"""Effects that are recorded in one step of the ledger."""

Answer = concurrent.futures.Future[None]
"""Done once an effect is recorded, for whoever waits, in whatever thread."""

log = Log("unlost.worker")


class Declaring:
    """A worker's way to record effects, asked until the ledger answers.  A ledger that cannot
    record them (one that is reached through the API) is not asked."""

    def __init__(self, ledger: object, random: Random) -> None:
        self._ledger = ledger if isinstance(ledger, protocol.Effects) else None
        self._loop = asyncio.get_running_loop()
        self._random = random
        self._pid = os.getpid()
        self._waiting: list[tuple[NewEffect, Answer]] = []
        self._recording: asyncio.Task[None] | None = None

    def declare(self, claimed: Claimed, turn: int, name: object) -> Answer | None:
        """Have the attempt's `turn`-th effect recorded; None where it is not.  From any thread.

        Raises RuntimeError once the worker has ended.
        """
        if self._ledger is None or os.getpid() != self._pid:  # a child that a handler has forked
            return None
        if turn > MAX_EFFECTS:
            if turn == MAX_EFFECTS + 1:
                told = {"taskId": claimed.task_id, "type": claimed.type, "most": MAX_EFFECTS}
                log.warning("effects.not_recorded", extra=told)
            return None
        new = NewEffect(claimed.task_id, claimed.number, turn, effect_name(name))
        answer = Answer()
        self._loop.call_soon_threadsafe(self._add, new, answer)
        return answer

    def _add(self, new: NewEffect, answer: Answer) -> None:
        self._waiting.append((new, answer))
        if self._recording is None:
            self._recording = self._loop.create_task(self._record_all())

    async def all_recorded(self) -> None:
        """Return once all is recorded that was declared."""
        await asyncio.sleep(0)  # what came from a thread just now
        while self._recording is not None:
            await asyncio.wait({self._recording})

    async def _record_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            await self._record([new for new, _ in batch])
            for _, answer in batch:
                if not answer.done():
                    answer.set_result(None)
        self._recording = None

    async def _record(self, new: list[NewEffect]) -> None:
        tries = 0
        while self._ledger is not None:
            try:
                await self._ledger.declare_effects(new)
                break
            except LedgerGone:
                break
            except LedgerUnavailable as error:
                tries += 1
                await leave_alone(tries, error, self._random, log)
