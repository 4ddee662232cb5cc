"""Connections that end in the moment in which they are made, as uvloop shows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvloop
from anyio._backends._asyncio import SocketStream, StreamProtocol
from anyio.abc import SocketAttribute

from unlost import AsyncClient, Unavailable

URL = "http://127.0.0.1:1"


class Ending(httpx.AsyncBaseTransport):
    """Makes a real connection for each of the first calls, ends it, and asks for its address, as
    what is below httpx does; answers the others."""

    def __init__(self, ended: int) -> None:
        self.left = ended

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.left > 0:
            self.left -= 1
            async with ended() as stream:
                stream.extra(SocketAttribute.raw_socket)
        results = [{"taskId": "a", "status": 202}]
        counts = {"accepted": 1, "replayed": 0, "rejected": 0}
        return httpx.Response(200, json={**counts, "results": results})


@asynccontextmanager
async def ended() -> AsyncIterator[SocketStream]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        loop = asyncio.get_running_loop()
        address = server.sockets[0].getsockname()
        transport, protocol = await loop.create_connection(StreamProtocol, *address)
        transport.abort()
        await asyncio.sleep(0)
        yield SocketStream(transport, protocol)


def client(transport: httpx.AsyncBaseTransport, retry_for: float) -> AsyncClient:
    made = AsyncClient(URL, retry_for=retry_for)
    edge: Any = made._edge
    edge._http = httpx.AsyncClient(transport=transport, base_url=URL)
    return made


def test_on_uvloop_such_a_connection_has_no_socket() -> None:
    async def ask() -> None:
        async with ended() as stream:
            stream.extra(SocketAttribute.raw_socket)

    with pytest.raises(AttributeError, match="getpeername"):
        uvloop.run(ask())


def test_a_call_over_it_is_made_again() -> None:
    async def submit() -> list[bool]:
        async with client(Ending(1), retry_for=10) as made:
            tasks = made.submit_many([{"task_id": "a", "payload": {}}])
            return [one.accepted async for one in tasks]

    assert uvloop.run(submit()) == [True]


def test_a_call_that_gets_no_other_is_unavailable() -> None:
    async def submit() -> None:
        async with client(Ending(1_000), retry_for=0) as made:
            await made.submit({}, "a")

    with pytest.raises(Unavailable, match="it ended at once"):
        uvloop.run(submit())
