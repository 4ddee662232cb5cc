"""What workers make of hints: one that comes too late waits a little with the next ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from tests.unit.stage import Unreliable, submission
from tests.unit.virtual import clock, in_virtual_time
from unlost.handlers import Handlers, Task
from unlost.ledger.values import Claim, Claimed
from unlost.settings import Settings
from unlost.task import SECOND
from unlost.worker.hinted import LATEST
from unlost.worker.worker import Worker

TASKS = 200
APART = 0.005


class Watched(Unreliable):
    """Counts claims in vain, and looks for when the next task is due."""

    def __init__(self) -> None:
        super().__init__(clock)
        self.vain = self.looks = 0
        self.took: set[str] = set()

    async def claim(self, claim: Claim) -> list[Claimed]:
        found = await super().claim(claim)
        await asyncio.sleep(0.001)
        self.vain += not found
        self.took |= {claim.worker} if found else set()
        return found

    async def due_in(self, *args: object, **options: object) -> int | None:
        self.looks += 1
        return await super().due_in(*args, **options)  # type: ignore[arg-type]


def waited(task: Task) -> float:
    """Seconds from its submit to now."""
    return clock() / SECOND - task.submitted_at.timestamp()


@asynccontextmanager
async def two_workers(handler: object, slots: int) -> AsyncIterator[Watched]:
    """Two that wait on one ledger."""
    ledger = Watched()
    settings = Settings(concurrency=slots, lease=43_200.0)
    workers = [
        Worker(ledger, Handlers.for_every_type(handler), settings, worker_id=f"w{n}",
               random=Random(n))
        for n in range(2)
    ]  # fmt: skip
    running = [asyncio.create_task(worker.run()) for worker in workers]
    await asyncio.sleep(0.5)
    ledger.vain = ledger.looks = 0
    yield ledger
    for worker in workers:
        worker.drain()
    await asyncio.gather(*running)


@in_virtual_time
async def test_of_two_workers_that_wait_one_claims_in_vain_but_now_and_then() -> None:
    waits: list[float] = []

    async def handler(task: Task) -> None:
        waits.append(waited(task))

    async with two_workers(handler, slots=100) as ledger:
        for number in range(TASKS):
            await ledger.submit([submission(f"t{number}")])
            await asyncio.sleep(APART)
        await asyncio.sleep(LATEST)
        assert len(waits) == TASKS
        assert ledger.vain <= 0.4 * TASKS
        assert ledger.looks <= 0.05 * TASKS
        assert max(waits) <= 0.003


@in_virtual_time
async def test_while_one_worker_is_full_the_other_takes_what_comes_within_moments() -> None:
    began: list[float] = []
    held = asyncio.Event()

    async def handler(task: Task) -> None:
        began.append(waited(task))
        await held.wait()

    async with two_workers(handler, slots=5) as ledger:
        for number in range(10):
            await ledger.submit([submission(f"t{number}")])
            await asyncio.sleep(APART)
        await asyncio.sleep(LATEST)
        assert len(began) == 10
        assert max(began) <= LATEST + 0.005
        assert ledger.took == {"w0", "w1"}
        held.set()
