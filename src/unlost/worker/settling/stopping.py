"""Failures that the stop of their own process may have caused: those cost the task nothing."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random

from unlost import policy
from unlost.ledger.protocol import LedgerGone, LedgerUnavailable
from unlost.ledger.values import Claimed, Part
from unlost.policy import STOP_MARGIN
from unlost.task import Outcome, Record
from unlost.telemetry.logs import Log
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.effects.follow_ups import FollowUpLedger
from unlost.worker.unavailable import leave_alone

log = Log("unlost.worker")


class HoldingBack(ABC):
    """Holds back failures until it is known whether a stop has caused them, then settles them.

    One that tells of a signal waits `STOP_MARGIN` for the stop, which often comes with it; once
    the worker has been told to stop, none waits.
    """

    def __init__(self, settle: Callable[[Claimed, Ended, float], None]) -> None:
        self._settle = settle
        self._told = asyncio.Event()
        self._held: dict[str, asyncio.Task[None]] = {}  # by token

    def tell(self) -> None:
        """The process was told to stop."""
        self._told.set()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def tokens(self) -> set[str]:
        """The attempts that are held back."""
        return set(self._held)

    def concerns(self, ended: Ended) -> bool:
        """Whether a stop may have caused this end, or may yet turn out to have."""
        if not ended.signalled and not self._told.is_set():
            return False
        return policy.may_come_of_stop(ended.outcome, final=ended.final)

    def hold(self, claimed: Claimed, ended: Ended, seconds: float) -> None:
        """Hold back this end until it is decided."""
        step = self._decide(claimed, ended, seconds)
        self._held[claimed.token] = asyncio.get_running_loop().create_task(step)

    async def all_decided(self) -> None:
        """Return once nothing is held back."""
        while self._held:
            await asyncio.gather(*self._held.values())

    async def _decide(self, claimed: Claimed, ended: Ended, seconds: float) -> None:
        if await self._is_told() and policy.released_at_stop(await self._before(claimed)):
            told = {"taskId": claimed.task_id, "type": claimed.type}
            log.info("attempt.released", extra=told | {"failed": ended.error and ended.error.type})
            ended = attempt.released(ended)
        del self._held[claimed.token]
        self._settle(claimed, ended, seconds)

    async def _is_told(self) -> bool:
        """Whether there is a stop, now or soon."""
        try:
            async with asyncio.timeout(STOP_MARGIN):
                await self._told.wait()
        except TimeoutError:
            pass
        return self._told.is_set()

    @abstractmethod
    async def _before(self, claimed: Claimed) -> Outcome | None:
        """How the attempt before this one ended, of this task; None if there was none."""


class Stopping(HoldingBack):
    """How the task's attempt before one that is held back ended, the ledger says."""

    def __init__(
        self,
        ledger: FollowUpLedger,
        random: Random,
        settle: Callable[[Claimed, Ended, float], None],
    ) -> None:
        super().__init__(settle)
        self._ledger = ledger
        self._random = random

    async def _before(self, claimed: Claimed) -> Outcome | None:
        record = await self._record(claimed.task_id)
        earlier = () if record is None else record.attempts
        return next((one.outcome for one in earlier if one.number == claimed.number - 1), None)

    async def _record(self, task_id: str) -> Record | None:
        tries = 0
        while True:
            try:
                return await self._ledger.get(task_id, (Part.ATTEMPTS,))
            except LedgerGone:  # what is settled then is worth nothing
                return None
            except LedgerUnavailable as error:
                tries += 1
                await leave_alone(tries, error, self._random, log)
