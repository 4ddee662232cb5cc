"""A real service in a thread of this process: the app, a worker, what lets redrives go on, and a
ledger."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from threading import Event, Thread

from unlost.api.app import create_app
from unlost.api.server import serve
from unlost.handlers import Handlers
from unlost.handlers.simulated import simulated
from unlost.ledger.opening import open_ledger, wall_clock
from unlost.settings import Settings
from unlost.upkeep.redrives import Redriving
from unlost.worker.worker import Worker

SETTINGS = Settings(
    failure_rate=0, backoff_base=0.01, max_retries=2, lease=43_200, grace=0, concurrency=8
)


@dataclass(frozen=True)
class Place:
    """Where a service listens."""

    url: str
    port: int


@contextmanager
def running(
    port: int = 0, ledger: str = "memory://", handlers: Handlers | None = None
) -> Iterator[Place]:
    """Run it on this ledger until the block ends; without `handlers`, the simulated ones."""
    listener = socket.create_server(("127.0.0.1", port))
    port = listener.getsockname()[1]
    ready, loop, stop = Event(), asyncio.new_event_loop(), asyncio.Event()
    work = _run(ledger, listener, ready, stop, handlers)
    thread = Thread(target=loop.run_until_complete, args=(work,))
    thread.start()
    assert ready.wait(10)
    try:
        yield Place(f"http://127.0.0.1:{port}", port)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _run(
    url: str,
    listener: socket.socket,
    ready: Event,
    stop: asyncio.Event,
    handlers: Handlers | None,
) -> None:
    ledger = await open_ledger(url)
    random = Random()
    served = handlers or simulated(SETTINGS.failure_rate, SETTINGS.seed, random)
    worker = Worker(ledger, served, SETTINGS, worker_id=str(random.random()), random=random)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        redriving = Redriving(ledger, clock=wall_clock, monotonic=time.monotonic)
        stepping = group.create_task(redriving.run())
        await serve(create_app(ledger, SETTINGS), listener, ready.set, stop)
        worker.drain()
        stepping.cancel()
    await ledger.close()
