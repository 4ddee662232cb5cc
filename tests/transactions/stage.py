"""A worker on PostgreSQL whose handlers have transactions, and a table of the application's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from tests.conformance.stage import must_add_up, submission
from tests.postgres.databases import Database
from unlost import Handlers
from unlost.ledger.postgres import PostgresLedger
from unlost.settings import Settings
from unlost.task import TERMINAL, Record
from unlost.telemetry.measuring import Recorder
from unlost.worker.worker import Worker

PATIENCE = 20.0

TABLE = "CREATE TABLE public.charge (task text, attempt integer)"


class Service:
    """A worker at work, on a ledger that may lie behind a proxy; all is read from beside it."""

    def __init__(self, database: Database, beside: PostgresLedger, worker: Worker) -> None:
        self.database = database
        self.ledger = beside
        self.worker = worker

    async def submit(self, task_id: str, **options: Any) -> None:
        await self.ledger.submit([submission(task_id, **options)])

    async def ended(self, task_id: str) -> Record:
        """The task, once it is terminal."""
        return await self.when(task_id, lambda record: record.state in TERMINAL)

    async def when(self, task_id: str, holds: Callable[[Record], bool]) -> Record:
        """The task, once this holds."""
        until = time.monotonic() + PATIENCE
        while True:
            record = await self.ledger.get(task_id)
            if record is not None and holds(record):
                return record
            assert time.monotonic() < until, f"not in time: {record}"
            await asyncio.sleep(0.005)

    async def run(self, task_id: str, **options: Any) -> Record:
        """The task, once it was submitted and has come to its end."""
        await self.submit(task_id, **options)
        return await self.ended(task_id)

    def charges(self, task_id: str) -> list[int]:
        """The attempts whose rows are there, for whoever else looks."""
        with self.database.connect() as db:
            sql = "SELECT attempt FROM public.charge WHERE task = %s ORDER BY attempt"
            return [attempt for (attempt,) in db.execute(sql, [task_id])]


async def eventually(holds: Callable[[], bool]) -> None:
    """Return once this holds."""
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "it did not come to that in time"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def service(
    database: Database,
    handler: Any,
    *,
    url: str | None = None,
    recorder: Recorder | None = None,
    **settings: Any,
) -> AsyncIterator[Service]:
    """A worker with this handler, or `Handlers`, that reaches the ledger by `url`.

    At the end the sums and the audit must hold, and no connection is left.
    """
    handlers = handler if isinstance(handler, Handlers) else Handlers.for_every_type(handler)
    chosen = Settings(**{"lease": 43_200.0, "backoff_base": 0.02, "grace": 0.5} | settings)
    beside = await database.ledger()
    ledger = await PostgresLedger.open(url or database.url)
    with database.connect() as db:
        db.execute(TABLE)
    worker = Worker(ledger, handlers, chosen, worker_id="w", random=Random(1), recorder=recorder)
    running = asyncio.create_task(worker.run())
    try:
        yield Service(database, beside, worker)
        worker.drain()
        await asyncio.wait_for(running, PATIENCE)
        await must_add_up(beside)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await ledger.close()
        await beside.close()
        with database.connect() as db:
            db.execute("DROP TABLE public.charge")
