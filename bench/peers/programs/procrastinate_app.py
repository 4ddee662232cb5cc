"""Procrastinate with a task that does nothing (see `roles`)."""
# mypy: ignore-errors

import contextlib
import logging

import roles
from procrastinate import App, PsycopgConnector

CONCURRENCY = 10


class Procrastinate:
    """As by default: every job is kept with its events; with as many connections as jobs at once,
    so that none waits for one."""

    def __init__(self, url):
        logging.disable(logging.WARNING)  # else it would say so of each job
        self.app = App(connector=PsycopgConnector(conninfo=url, max_size=CONCURRENCY + 2))

        @self.app.task(name="nothing")
        async def nothing(**payload):
            self.reporter.ran(payload)

        self.task = nothing

    async def prepare(self):
        async with self.app.open_async():
            await self.app.schema_manager.apply_schema_async()

    @contextlib.asynccontextmanager
    async def opened(self, what):
        if what == "work":
            self.reporter = roles.reporter()
        async with self.app.open_async():
            yield

    async def submit(self, payload):
        await self.task.defer_async(**payload)

    async def submit_many(self, payloads):
        await self.task.batch_defer_async(*payloads)

    async def work(self):
        await self.app.run_worker_async(concurrency=CONCURRENCY)


roles.main(Procrastinate)
