"""Sync handlers run in threads, so these tests run in real time, with short times."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from tests.unit.stage import Stage, Unreliable, why
from unlost.handlers import Handlers, Task
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings
from unlost.task import Outcome, State
from unlost.worker.ending import Ending
from unlost.worker.worker import Worker


@asynccontextmanager
async def stage(handler: Any, **settings: Any) -> AsyncIterator[Stage]:
    ledger = Unreliable(wall_clock)
    worker = Worker(
        ledger,
        Handlers.for_every_type(handler),
        Settings(**{"lease": 43_200.0, "max_retries": 0} | settings),
        worker_id="w1",
        random=Random(7),
    )
    playing = Stage(ledger, worker)
    await asyncio.sleep(0)
    yield playing
    if not playing.worker_task.done():
        await playing.drained()


async def test_sync_handlers_run_at_once_as_many_as_there_are_slots() -> None:
    together = threading.Barrier(4, timeout=10)

    def handler(task: Task) -> int:
        return together.wait()

    async with stage(handler, concurrency=4) as play:
        await play.submit(*map(str, range(8)))
        records = [await play.ended(str(number)) for number in range(8)]
    assert {record.state for record in records} == {State.SUCCEEDED}


async def test_threads_are_kept_for_the_next_attempts() -> None:
    def handler(task: Task) -> str:
        return threading.current_thread().name

    async with stage(handler, concurrency=2) as play:
        names = set()
        for number in range(20):
            await play.submit(str(number))
            names.add((await play.ended(str(number))).result)
    assert len(names) <= 2


async def test_a_sync_handler_sees_its_timeout_and_what_it_returns_then_is_dropped() -> None:
    def handler(task: Task) -> str:
        while not task.cancelled:
            time.sleep(0.005)
        return "too late"

    async with stage(handler) as play:
        await play.submit("t", timeout=0.1)
        record = await play.ended("t")
        assert not play.worker_task.done()
    assert (record.attempts[0].outcome, record.result) == (Outcome.TIMED_OUT, None)
    assert why(record).type == "AttemptTimedOut"


async def test_a_sync_handler_that_outlives_its_timeout_ends_the_worker() -> None:
    over = threading.Event()

    def handler(task: Task) -> None:
        over.wait(20)

    async with stage(handler) as play:
        await play.submit("t", timeout=0.1)
        began = time.monotonic()
        ending = await play.worker_task
        took = time.monotonic() - began
        record = await play.record("t")
        over.set()
    assert ending is Ending.STUCK
    assert play.worker.busy
    assert record.state is State.RUNNING
    assert 1.0 <= took <= 6.0


async def test_a_sync_handler_sees_within_five_seconds_that_its_task_was_cancelled() -> None:
    seen = threading.Event()

    def handler(task: Task) -> str:
        while not task.cancelled:
            time.sleep(0.005)
        seen.set()
        return "dropped"

    async with stage(handler) as play:
        await play.submit("t")
        await play.running("t")
        await play.ledger.cancel("t", None, None)
        assert await asyncio.to_thread(seen.wait, 5.0)
        record = await play.record("t")
    assert (record.state, record.result) == (State.CANCELLED, None)


async def test_what_a_sync_handler_finishes_when_the_worker_drains_counts() -> None:
    started = threading.Event()

    def handler(task: Task) -> str:
        started.set()
        time.sleep(0.2)
        return "done"

    async with stage(handler, grace=10) as play:
        await play.submit("t")
        await asyncio.to_thread(started.wait, 5.0)
        assert await play.drained() is Ending.DRAINED
        record = await play.record("t")
    assert (record.state, record.result) == (State.SUCCEEDED, '"done"')
