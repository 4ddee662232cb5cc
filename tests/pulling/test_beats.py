"""The beats of a supervisor whose workers claim by the API, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from random import Random

import pytest

from tests.unit.slow_children import NEVER, SlowChild
from tests.unit.virtual import clock, in_virtual_time
from unlost.client.core.wire import Answer, NoAnswer, Reply, Request
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.pulling.board import Board
from unlost.pulling.holding import Holding
from unlost.pulling.service import Service
from unlost.settings import Settings
from unlost.supervisor.brief import Ready
from unlost.supervisor.workers.pulling import PullWorkers

LEASE = 15.0
STALLED = "w1"


class Stalling:
    """Answers beats; those of one worker have no answer, in the time that they have, until
    `freed`.  `beats` are the times at which each worker's came."""

    def __init__(self, freed: float) -> None:
        self.freed = freed
        self.beats: dict[str, list[float]] = {}

    async def ask(self, request: Request, within: float | None = None) -> Reply:
        worker = request.path.split("/")[2]
        now = asyncio.get_running_loop().time()
        self.beats.setdefault(worker, []).append(now)
        if worker == STALLED and now < self.freed:
            await asyncio.sleep(10_000 if within is None else within)
            return NoAnswer("it did not answer in time")
        return Answer(200, b'{"gone":[]}')

    async def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def beating(workers: int, edge: Stalling) -> AsyncIterator[None]:
    settings = Settings(lease=LEASE)
    looked_after = PullWorkers(Service("http://localhost", edge), settings, Random(7))
    for number in range(workers):
        child = SlowChild("worker", number + 1, NEVER, MemoryLedger(clock), alone=False)
        child.ready = Ready()
        looked_after.add(child)
    task = asyncio.create_task(looked_after.beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@in_virtual_time
async def test_a_beat_that_finds_no_way_ends_no_workers_lease() -> None:
    edge = Stalling(freed=7.0)
    async with beating(3, edge):
        await asyncio.sleep(60)
    assert edge.beats["w2"] == edge.beats["w3"] == [2.0 * number for number in range(1, 30)]
    heard = [time for time in edge.beats[STALLED] if time >= edge.freed]
    assert heard[0] < LEASE / 2 + 2


@in_virtual_time
async def test_what_only_one_worker_waits_for_is_asked_again_and_not_beside_itself() -> None:
    edge = Stalling(freed=1_000.0)
    async with beating(1, edge):
        await asyncio.sleep(40)
    times = edge.beats[STALLED]
    assert all(LEASE / 3 <= after - before <= LEASE / 2 for before, after in pairwise(times))
    assert len(times) >= 5


@in_virtual_time
async def test_a_workers_own_look_at_what_runs_ends_well_before_its_lease() -> None:
    service = Service("http://localhost", Stalling(freed=1_000.0))
    board = Board.of(10)
    try:
        holding = Holding(service, STALLED, LEASE, board)
        with pytest.raises(LedgerUnavailable):
            await holding.dropped({"token": "t"})
    finally:
        board.close()
    assert asyncio.get_running_loop().time() <= LEASE / 3
