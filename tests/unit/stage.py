"""A worker on a ledger in memory, in virtual time, for tests to play with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from random import Random
from typing import Any

from tests.unit.virtual import clock
from unlost.handlers import Handlers, Task
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Claim, Claimed, Settled, Settlement
from unlost.ledger.values import Worker as Member
from unlost.policy import WORKER_LOST, Limits
from unlost.settings import Settings
from unlost.task import (
    SECOND,
    TERMINAL,
    Attempt,
    Event,
    Micros,
    Outcome,
    Record,
    State,
    Submission,
    TaskError,
)
from unlost.telemetry.measuring import Recorder
from unlost.tracing import OFF, Tracing
from unlost.worker.ending import Ending
from unlost.worker.worker import Worker
from unlost.worker.working import Working


class Unreliable(MemoryLedger):
    """A ledger in memory whose calls can be made to fail.

    `failures` holds, for a method's name, what its next calls do: "before" and "after" raise
    LedgerUnavailable without and with the call's effect.
    """

    def __init__(self, clock: Callable[[], Micros]) -> None:
        super().__init__(clock)
        self.failures: dict[str, list[str]] = {}
        self.calls: list[str] = []
        self.sizes: dict[str, list[int]] = {"claim": [], "settle": []}  # of the calls

    def _fault(self, name: str) -> str:
        self.calls.append(name)
        planned = self.failures.get(name)
        fault = planned.pop(0) if planned else ""
        if fault == "before":
            raise LedgerUnavailable(name)
        return fault

    async def claim(self, claim: Claim) -> list[Claimed]:
        self.sizes["claim"].append(len(claim.tokens))
        fault = self._fault("claim")
        claimed = await super().claim(claim)
        if fault == "after":
            raise LedgerUnavailable("claim")
        return claimed

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        self.sizes["settle"].append(len(settlements))
        fault = self._fault("settle")
        held = await super().settle(settlements)
        if fault == "after":
            raise LedgerUnavailable("settle")
        return held

    async def reported(self, report_ids: Any) -> None:
        self._fault("reported")
        await super().reported(report_ids)


class Stage:
    """One worker at work; `worker_task` is its run."""

    def __init__(self, ledger: Unreliable, worker: Working) -> None:
        self.ledger = ledger
        self.worker = worker
        self.worker_task = asyncio.create_task(worker.run())

    async def submit(self, *task_ids: str, **options: Any) -> None:
        await self.ledger.submit([submission(task_id, **options) for task_id in task_ids])

    async def ended(self, task_id: str) -> Record:
        """The task, once it is terminal."""
        return await self.when(task_id, lambda record: record.state in TERMINAL)

    async def when(self, task_id: str, holds: Callable[[Record], bool]) -> Record:
        """The task, once this holds."""
        async with self.ledger.transitions() as changes:
            while True:
                record = await self.record(task_id)
                if holds(record):
                    return record
                await anext(changes)

    async def running(self, task_id: str) -> None:
        """Return once an attempt of the task runs."""
        await self.when(task_id, lambda record: record.state is State.RUNNING)
        await asyncio.sleep(0)

    async def record(self, task_id: str) -> Record:
        record = await self.ledger.get(task_id)
        assert record is not None
        return record

    async def drained(self) -> Ending:
        self.worker.drain()
        return await self.worker_task


def submission(task_id: str, payload: str = "{}", **options: Any) -> Submission:
    return Submission(task_id, payload, sha256(payload.encode()).digest(), **options)


@asynccontextmanager
async def stage(
    handler: Any,
    *,
    ledger: Unreliable | None = None,
    alone: bool = False,
    recorder: Recorder | None = None,
    tracing: Tracing = OFF,
    home: str = "sqlite:///unlost.db",
    **settings: Any,
) -> AsyncIterator[Stage]:
    """A worker with this handler (or `Handlers`) at work, drained at the end; it takes the ledger
    for one of this home."""
    handlers = handler if isinstance(handler, Handlers) else Handlers.for_every_type(handler)
    ledger = ledger or Unreliable(clock)
    chosen: dict[str, Any] = {"lease": 43_200.0, "seed": 7, "ledger": home} | settings
    worker = Worker(
        ledger,
        handlers,
        Settings(**chosen),
        worker_id="w1",
        random=Random(7),
        alone=alone,
        recorder=recorder,
        tracing=tracing,
    )
    playing = Stage(ledger, worker)
    await asyncio.sleep(0)
    yield playing
    if not playing.worker_task.done():
        await playing.drained()


async def lose(ledger: MemoryLedger, *task_ids: str) -> None:
    """Have attempts of these tasks, and of no others that are due, lost by a worker."""
    await ledger.submit([submission(task_id) for task_id in task_ids])
    await ledger.enlist(Member("dead"), SECOND)
    claimed = await ledger.claim(Claim("dead", task_ids, None, Limits(2, 60.0)))
    assert {one.task_id for one in claimed} == set(task_ids)
    await ledger.settle(
        [Settlement(one.task_id, one.token, Outcome.LOST, Event.RETRY, 0, WORKER_LOST)
         for one in claimed]
    )  # fmt: skip


async def failing(task: Task) -> None:
    raise ValueError("no")


def why(record: Record) -> TaskError:
    """The error that a task surely has."""
    assert record.error is not None
    return record.error


def finished(attempt: Attempt) -> Micros:
    """When an attempt ended that surely has."""
    assert attempt.finished_at is not None
    return attempt.finished_at
