"""A network between a ledger and its server that fails as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

NOTIFICATION = b"A"
SYNC = b"S\0\0\0\4"
"""With which each transaction of a ledger ends, right after its commit."""


class Proxy:
    """Passes on what clients and server say, on a port of 127.0.0.1 of its own.

    `deaf`: no notification gets through, as with a pooler that lends connections by transaction.
    `lose_answers`: from the next commit on its connection, the server's answers are lost, and
    then the connection.
    `hold`: nothing gets through, and nobody is told; what was said arrives after `heal`.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)
        self._url = parts
        self.deaf = False
        self.lose_answers = False
        self.lost = asyncio.Event()
        self._passing = asyncio.Event()
        self._passing.set()
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        self.heal()
        self.cut()
        if self._pipes:
            await asyncio.wait(self._pipes)

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._url.netloc.rpartition("@")[0]
        return urlunsplit(self._url._replace(netloc=f"{credentials}@127.0.0.1:{port}"))

    def cut(self) -> None:
        """End all connections at once."""
        for writer in list(self._writers):
            writer.transport.abort()

    def hold(self) -> None:
        """Let nothing through until `heal`, as a network that swallows everything."""
        self._passing.clear()

    def heal(self) -> None:
        """Pass on what was held, and all that follows."""
        self._passing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passing.wait()
        there, back = await asyncio.open_connection(*self._upstream)
        losing: list[bool] = []

        def asks(data: bytes) -> bytes:
            if self.lose_answers and SYNC in data:
                self.lose_answers = False
                losing.append(True)
            return data

        def answers(data: bytes) -> bytes | None:
            if not losing:
                return self._heard(data)
            self.lost.set()
            return None

        for one, other, change in ((reader, back, asks), (there, writer, answers)):
            self._writers.add(other)
            task = asyncio.create_task(self._pipe(one, other, change))
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)
            task.add_done_callback(lambda _: back.transport.abort())
            task.add_done_callback(lambda _: writer.transport.abort())

    def _heard(self, data: bytes) -> bytes:
        """What is left of the server's words; notifications come in a piece of their own."""
        return b"" if self.deaf and data[:1] == NOTIFICATION else data

    async def _pipe(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        change: Callable[[bytes], bytes | None],
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._passing.wait()
                passed = change(data)
                if passed is None:
                    return
                writer.write(passed)
                await writer.drain()
        self._writers.discard(writer)
