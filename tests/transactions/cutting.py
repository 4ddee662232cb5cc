"""A network that ends the connection of a handler's transaction at one of its statements."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from enum import Enum, auto
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

MARK = b"unlost.transaction"
"""Of the statement with which a handler's transaction begins; its connection has it alone."""

BEFORE_LOGIN = (80877103, 80877104)
"""Codes of the first messages that ask for encryption; another first message follows them."""

SYNC = b"S\0\0\0\4"
READY = b"Z\0\0\0\5"
"""What a client says at the end of some statements, and what the server then answers."""

EXECUTED = (b"E", b"Q")
STATEMENT_ENDS = (*EXECUTED, b"", b"S", b"H", b"X", b"p")


class When(Enum):
    """What of the statement the server hears before the connection ends."""

    BEFORE = auto()  # nothing
    AFTER = auto()  # all of it; its answer is lost
    LATE = auto()  # all of it, but only once the client is gone, and `patience` is over


class Network:
    """Passes on what clients and server say; `cut_at` ends one connection at its n-th statement.

    `seen` counts the statements of the last handler's transaction, the first that marks it as one.
    """

    patience = 0.3

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._running: set[asyncio.Task[None]] = set()
        self.seen = 0
        self.refusing = False  # whether new connections are ended at once
        self.on_cut: Callable[[], None] = lambda: None  # before the client can hear of it
        self._at: tuple[int, When] | None = None

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
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{credentials}@127.0.0.1:{port}"))

    def cut_at(self, number: int, when: When) -> None:
        """Once, from now on: end the connection at that statement of a handler's transaction."""
        self._at = (number, when)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        link = _Link(back, writer)
        pipes = [
            asyncio.create_task(self._ask(reader, link)),
            asyncio.create_task(link.answer(there)),
        ]
        serving = asyncio.current_task()
        assert serving is not None
        self._running.add(serving)
        serving.add_done_callback(self._running.discard)
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
            if link.lost:
                await asyncio.wait(pipes[:1])
        finally:
            for task in pipes:
                task.cancel()
            back.transport.abort()
            writer.transport.abort()
            await asyncio.wait(pipes)

    async def _ask(self, reader: asyncio.StreamReader, link: _Link) -> None:
        number = 0
        statement = b""
        async for kind, message in _messages(reader):
            statement += message
            if kind not in STATEMENT_ENDS:
                continue  # the rest of the statement comes with it
            if kind in EXECUTED and (number or MARK in statement):
                number += 1
                self.seen = number
                if self._at is not None and self._at[0] == number:
                    _, when = self._at
                    self._at = None
                    await link.end(statement, when, self.patience)
                    self.on_cut()
                    return
            link.server.write(statement)
            statement = b""


class _Link:
    """One connection between a client and the server; what is said to the client may be lost."""

    def __init__(self, server: asyncio.StreamWriter, client: asyncio.StreamWriter) -> None:
        self.server = server
        self.client = client
        self.lost = False
        self._done = asyncio.Event()

    async def answer(self, server: asyncio.StreamReader) -> None:
        """Pass on what the server says."""
        with contextlib.suppress(OSError):
            while data := await server.read(1 << 16):
                if not self.lost:
                    self.client.write(data)
                elif READY in data:
                    self._done.set()

    async def end(self, statement: bytes, when: When, patience: float) -> None:
        """Let the server hear of the last statement what it is to hear."""
        if when is When.BEFORE:
            return
        self.lost = True
        if when is When.LATE:
            self.client.transport.abort()
            await asyncio.sleep(patience)
        self.server.write(statement + SYNC)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._done.wait()


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    """What a client says, by message, each with its kind; those of the login have none."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:  # until it has begun to log in
            head = await reader.readexactly(8)
            length, code = struct.unpack("!ii", head)
            yield b"", head + await reader.readexactly(length - 8)
            if code not in BEFORE_LOGIN:
                break
        while True:
            head = await reader.readexactly(5)
            (length,) = struct.unpack("!i", head[1:])
            yield head[:1], head + await reader.readexactly(length - 4)
