"""Pages of other origins: a server of nearly empty ones, and the service that they are aimed at."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from unlost.api.app import create_app
from unlost.api.server import serve
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings
from unlost.task import Submission

PAGE = b"<!doctype html><meta charset=utf-8><title>elsewhere</title><p>a page"
WORKER = b"""onmessage = ({data: [url, options], ports: [port]}) =>
  fetch(url, options).then(({type}) => port.postMessage(type), () => port.postMessage("none"));"""


@asynccontextmanager
async def pages() -> AsyncIterator[int]:
    """The port at which each path is a page, but `/worker.js`, which is a service worker."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        script = b"/worker.js" in head.partition(b"\r\n")[0]
        body, kind = (WORKER, b"text/javascript") if script else (PAGE, b"text/html")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nConnection: close\r\n\r\n" % kind
        writer.write(head + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@dataclass(frozen=True)
class Target:
    """A service that is to be left alone: a task waits in it, and nothing else has happened."""

    ledger: MemoryLedger
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def is_untouched(self) -> bool:
        counts = await self.ledger.counts()
        record = await self.ledger.get("waiting")
        return (
            counts.accepted == 1
            and record is not None
            and not record.history
            and not await self.ledger.controls()
        )


@asynccontextmanager
async def target(port: int = 0, **given: Any) -> AsyncIterator[Target]:
    """A service with these settings."""
    listener = socket.create_server(("127.0.0.1", port))
    ready, stop = asyncio.Event(), asyncio.Event()
    ledger = MemoryLedger(wall_clock)
    await ledger.submit([Submission("waiting", '{"secret": 1}', b"1")])
    app = create_app(ledger, Settings(**{"auth": "none", **given}))
    running = asyncio.create_task(serve(app, listener, ready.set, stop))
    await asyncio.wait_for(ready.wait(), 10)
    try:
        yield Target(ledger, listener.getsockname()[1])
    finally:
        stop.set()
        await asyncio.wait_for(running, 20)
