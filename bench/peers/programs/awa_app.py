"""awa with a task that does nothing (see `roles`): the storage that it has by default, its COPY for
many, and one queue with large batches, as its page on configuration advises first."""
# mypy: ignore-errors

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field

import awa
import roles

WORKERS = 512
"""As many as it claims at once by default: fewer would make its batches smaller."""


@dataclass
class Nothing:
    """What a job carries."""

    payload: dict = field(default_factory=dict)


class Queue:
    """Its client, for both sides."""

    def __init__(self, url):
        self.client = awa.AsyncClient(url)

    async def prepare(self):
        await self.client.migrate()
        await (
            self.start()
        )  # the first worker brings the storage of this version, if no job is there
        await self.client.shutdown()

    async def start(self, reporter=None):
        @self.client.task(Nothing, queue="default")
        async def nothing(job):
            reporter.ran(job.args.payload)

        await self.client.start([("default", WORKERS)])

    @contextlib.asynccontextmanager
    async def opened(self, what):
        yield

    async def submit(self, payload):
        await self.client.insert(Nothing(payload))

    async def submit_many(self, payloads):
        await self.client.enqueue_many_copy([Nothing(payload) for payload in payloads])

    async def work(self):
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await self.start(roles.reporter())
        await ended.wait()
        await self.client.shutdown()


roles.main(Queue)
