"""Tasks that are submitted, claimed and settled in batches; some are retried, die or cancelled."""

from __future__ import annotations

import json
import time
from itertools import count
from random import Random
from typing import Final

from bench.measures import PAYLOAD
from bench.steady import Moment
from tests.conformance.stage import BOOM, ended, submission
from unlost.ledger.postgres import PostgresLedger
from unlost.ledger.protocol import Refused
from unlost.ledger.values import Claim, Claimed, Settlement, Worker
from unlost.policy import Limits
from unlost.task import SECOND, Event, Outcome

BATCH: Final = 50
LEASE: Final = 24 * 3600 * SECOND


class Churner:
    """Submits, claims and settles, and counts what it has settled."""

    def __init__(self, ledger: PostgresLedger, random: Random, until: float, tasks: int) -> None:
        self._ledger = ledger
        self._random = random
        self._until = until
        self._tasks = tasks
        self._names = count()
        self.done = 0
        self.moments: list[Moment] = []

    @property
    def over(self) -> bool:
        """Whether its (monotonic) time or its tasks are over."""
        return time.monotonic() >= self._until or self.done >= self._tasks > 0

    async def submit(self, many: int) -> None:
        """Add so many tasks that are due at once."""
        payload = json.dumps(PAYLOAD)
        ids = [f"{self._random.getrandbits(128):032x}" for _ in range(many)]
        await self._ledger.submit([submission(one, payload) for one in ids])
        if self._random.random() < 0.2:
            await self._cancel(ids[0])

    async def _cancel(self, task_id: str) -> None:
        try:
            await self._ledger.cancel(task_id, "bench", None)
        except Refused:  # it is over already
            return

    async def turn(self) -> None:
        """Claim, settle, and submit as many as came to their end, until it is over."""
        worker = await self.enlist()
        while not self.over:
            _, over = await self.work(worker)
            await self.submit(over)

    async def enlist(self) -> str:
        """The name of a new worker."""
        worker = f"w{next(self._names)}"
        await self._ledger.enlist(Worker(worker), LEASE)
        return worker

    async def work(self, worker: str) -> tuple[int, int]:
        """Claim and settle: how many were claimed, and how many of these came to their end."""
        tokens = [f"{worker}-{next(self._names)}" for _ in range(BATCH)]
        claimed = await self._ledger.claim(Claim(worker, tokens, None, Limits(2, 60.0)))
        ends = [self._end(one) for one in claimed]
        await self._ledger.settle(ends)
        over = sum(end.event is not Event.RETRY for end in ends)
        self.done += over
        self.moments.append((time.monotonic(), self.done))
        return len(claimed), over

    def _end(self, one: Claimed) -> Settlement:
        """One in ten attempts fails; what fails three times is dead."""
        if self._random.random() > 0.1:
            return ended(one, Outcome.SUCCEEDED, Event.SUCCEED, result="{}")
        if one.spent > one.max_retries:
            return ended(one, Outcome.FAILED, Event.DIE, error=BOOM)
        wait = self._random.uniform(0, 10)
        return ended(one, Outcome.FAILED, Event.RETRY, wait=wait, error=BOOM)
