"""PgQueuer with a task that does nothing (see `roles`), as its page on performance advises: a pool
of asyncpg's for producers and one connection for the manager, autovacuum as `pgq autovac` sets it,
and larger batches for short jobs.  What is done is deleted, and logged in a table of its own."""
# mypy: ignore-errors

import asyncio
import contextlib
import json
import signal

import asyncpg
import roles
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.queries import Queries

BATCH_SIZE = 100


class Queue:
    """Its producers and its managers."""

    def __init__(self, url):
        self.url = url

    async def prepare(self):
        queries = Queries(AsyncpgDriver(await asyncpg.connect(self.url)))
        await queries.install()
        await queries.optimize_autovacuum()

    @contextlib.asynccontextmanager
    async def opened(self, what):
        if what == "work":
            self.driver = AsyncpgDriver(await asyncpg.connect(self.url))
            yield
            return
        async with asyncpg.create_pool(self.url, min_size=roles.IN_FLIGHT) as pool:
            self.queries = Queries(AsyncpgPoolDriver(pool))
            yield

    async def submit(self, payload):
        await self.queries.enqueue("nothing", json.dumps(payload).encode())

    async def submit_many(self, payloads):
        many = len(payloads)
        bodies = [json.dumps(payload).encode() for payload in payloads]
        await self.queries.enqueue(["nothing"] * many, bodies, [0] * many)

    async def work(self):
        manager, reporter = PgQueuer(self.driver), roles.reporter()

        @manager.entrypoint("nothing")
        async def nothing(job):
            reporter.ran(json.loads(job.payload))

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, manager.shutdown.set)
        await manager.run(batch_size=BATCH_SIZE)


roles.main(Queue)
