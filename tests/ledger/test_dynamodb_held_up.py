"""A real worker on DynamoDB, which throttles what ends attempts for a while."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from random import Random
from typing import Any

from botocore.awsrequest import AWSResponse

from tests.conformance.stage import must_add_up, submission
from tests.ledger.faulty import Interfered
from tests.ledger.patience import at_once
from tests.ledger.tables import Table
from tests.ledger.test_dynamodb_unavailable import refusal
from unlost.handlers import Handlers, Task
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings
from unlost.task import Outcome, State
from unlost.telemetry.measuring import Recorder
from unlost.worker.worker import Worker

TASKS = 40
CONCURRENCY = 4


class SmallBatches(Worker):
    """As it ships, with batches of which a few tasks make several."""

    batch = 5


class Throttled:
    """Refuses every write in which a task succeeds, until it is told to stop."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.refused = 0

    def __call__(
        self, operation: str, request: Any, send: Callable[[], AWSResponse]
    ) -> AWSResponse | None:
        if self.over.is_set() or b'"succeeded"' not in (request.body or b""):
            return None
        if operation not in ("PutItem", "UpdateItem", "TransactWriteItems"):
            return None
        self.refused += 1
        return refusal("ThrottlingException")


async def nothing(task: Task) -> None:
    """Be done at once."""


async def test_while_settlements_are_throttled_no_more_run_than_the_slots_and_a_batch(
    table: Table, interfered: Interfered
) -> None:
    throttled = interfered.interfere = Throttled()
    ledger = table.ledger(wall_clock, client=interfered.client, retrying=at_once())
    await ledger.open()
    await ledger.submit([submission(f"t{number}") for number in range(TASKS)])
    recorder = Recorder()
    worker = SmallBatches(
        ledger,
        Handlers.for_every_type(nothing),
        Settings(concurrency=CONCURRENCY, lease=600),
        worker_id="w",
        random=Random(7),
        recorder=recorder,
    )
    running = asyncio.create_task(worker.run())
    most = 0
    while throttled.refused < 30:
        most = max(most, len(await ledger.held("w")))
        await asyncio.sleep(0.02)
    assert worker.batch <= most <= CONCURRENCY + worker.batch
    throttled.over.set()
    async with asyncio.timeout(20):
        while (await ledger.counts()).states.get(State.SUCCEEDED, 0) < TASKS:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    worker.drain()
    await running
    assert dict(recorder.take().types["default"].outcomes) == {Outcome.SUCCEEDED: TASKS}
    interfered.interfere = None
    await must_add_up(ledger)
    await ledger.close()
