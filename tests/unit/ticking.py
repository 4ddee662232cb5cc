"""A scheduler that runs, in virtual time, and what it has made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from tests.conformance.scheduling import plan
from tests.unit.virtual import EPOCH, clock
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import Query
from unlost.schedule import acting
from unlost.schedule.planned import times_of
from unlost.schedule.schedule import Moved, Schedule
from unlost.task import SECOND
from unlost.upkeep.scheduler import Scheduler

FIRST = EPOCH + 10 * SECOND


@asynccontextmanager
async def running(*ledgers: MemoryLedger) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(Scheduler(ledger, Random(1)).run()) for ledger in ledgers]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def make(ledger: MemoryLedger, name: str = "s", **options: Any) -> Schedule:
    asked = plan(**options)
    move = acting.created(name, asked, times_of(asked), clock(), "", paused=False)
    assert await ledger.move_schedules([move]) == [Moved.DONE]
    return move.schedule


async def kept(ledger: MemoryLedger, name: str = "s") -> Schedule:
    found = (await ledger.schedule(name))[1]
    assert found is not None
    return found


async def tasks(ledger: MemoryLedger) -> dict[str, float]:
    """When each task was accepted, in seconds since the beginning."""
    records = (await ledger.page(Query(limit=1000))).records
    return {one.task_id: (one.submitted_at - EPOCH) / SECOND for one in reversed(records)}
