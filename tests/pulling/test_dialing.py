"""To which of a host's addresses a worker connects."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvloop

from unlost.pulling.dialing import connected

SILENT, NOBODY, WELL = "127.0.0.1", "127.0.0.3", "127.0.0.2"


@contextlib.contextmanager
def silent(address: str) -> Iterator[int]:
    """A port at which connections hang, as at an address that drops what comes: its queue is full,
    and nobody takes anything from it."""
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(socket.socket())
        server.bind((address, 0))
        server.listen(0)
        for _ in range(4):
            filling = opened.enter_context(socket.socket())
            filling.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filling.connect(server.getsockname())
        yield server.getsockname()[1]


@contextlib.asynccontextmanager
async def answering(port: int) -> AsyncIterator[None]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), WELL, port)
    async with server:
        yield


def told(*addresses: str, port: int) -> Any:
    """What the resolver says of a host with these addresses."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_addresses_at_which_nobody_answers_are_passed_by(make: Any) -> None:
    async def run() -> str:
        with silent(SILENT) as port:
            async with answering(port):
                found = told(SILENT, NOBODY, WELL, port=port)
                async with asyncio.timeout(4):
                    with await connected("receiver.test", port, _resolver(found)) as made:
                        return str(made.getpeername()[0])

    with asyncio.Runner(loop_factory=make) as runner:
        assert runner.run(run()) == WELL


async def test_where_no_address_takes_a_connection_the_last_says_why() -> None:
    with socket.socket() as unheard:
        unheard.bind((NOBODY, 0))
        port = unheard.getsockname()[1]
        found = told(NOBODY, NOBODY, port=port)
        with pytest.raises(ConnectionRefusedError):
            await connected("receiver.test", port, _resolver(found))


async def test_a_host_without_an_address_is_none() -> None:
    with pytest.raises(OSError, match="no address"):
        await connected("receiver.test", 1, _resolver([]))


def _resolver(found: Any) -> Any:
    async def resolve(host: str, port: int) -> Any:
        assert host == "receiver.test"
        return found

    return resolve
