"""Oban for Python with a task that does nothing (see `roles`), as its page on production advises:
the pool of ten that is there by default, which limits no jobs, and a queue's limit above it."""
# mypy: ignore-errors

import asyncio
import contextlib
import signal

import roles
from oban import Oban, worker
from oban.schema import install

LIMIT = 100


@worker()
class Nothing:
    """Succeeds at once."""

    reporter = None

    async def process(self, job):
        self.reporter.ran(job.args)


class Queue:
    """An instance, for both sides."""

    def __init__(self, url):
        self.url = url

    async def prepare(self):
        pool = await Oban.create_pool(self.url)
        await install(pool)
        await pool.close()

    @contextlib.asynccontextmanager
    async def opened(self, what):
        pool = await Oban.create_pool(self.url)
        if what == "work":
            Nothing.reporter = roles.reporter()
        queues = {"default": LIMIT} if what == "work" else {}
        async with Oban(pool=pool, queues=queues) as self.oban:
            yield
        await pool.close()

    async def submit(self, payload):
        await self.oban.enqueue(Nothing.new(payload))

    async def submit_many(self, payloads):
        await self.oban.enqueue_many(*(Nothing.new(payload) for payload in payloads))

    async def work(self):
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()


roles.main(Queue)
