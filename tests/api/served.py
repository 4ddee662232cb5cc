"""A running server, and what tests say to it: over a client, or byte by byte."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from unlost.api.app import App
from unlost.api.http.connection.connections import Connections
from unlost.ledger.protocol import Ledger

TASK = json.dumps({"taskId": "t", "payload": {}}).encode()


@dataclass(frozen=True)
class Served:
    """A server's ledger, port and client, and how to stop it.  Its `connections` know no time but
    what a test lets pass."""

    ledger: Ledger
    app: App
    port: int
    client: httpx.AsyncClient
    stop: asyncio.Event
    running: asyncio.Task[None]
    connections: Connections

    def pass_seconds(self, count: int) -> None:
        """Let time pass for the connections."""
        for _ in range(count):
            self.connections.second()

    @asynccontextmanager
    async def connection(self, room: int = 0) -> AsyncIterator[Connection]:
        """A connection; `room` bounds the bytes that the system takes before they are read."""
        wire = socket.socket()
        wire.setblocking(False)
        if room:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        await asyncio.get_running_loop().sock_connect(wire, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=wire)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()

    async def say(self, *parts: bytes) -> Answer:
        """The answer to one request on a connection of its own."""
        async with self.connection() as connection:
            for part in parts:
                await connection.send(part)
            return await connection.answer()

    async def accepted(self) -> int:
        return (await self.ledger.counts()).accepted


@dataclass(frozen=True)
class Answer:
    """A response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection to the server, on which a test writes and reads what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        text = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
        first, *lines = text.rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value for name, value in headers.items()}

    async def answer(self) -> Answer:
        """The next response; its length must be announced."""
        status, headers = await self.head()
        length = int(headers.get("content-length", "0"))
        body = await asyncio.wait_for(self.reader.readexactly(length), 10)
        return Answer(status, headers, body)

    async def ended(self) -> bool:
        """Whether the server has closed the connection, once what it sent is read."""
        return await asyncio.wait_for(self.reader.read(1), 10) == b""


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A request with a body, byte by byte."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def refusal(answer: Answer, status: int) -> str:
    """What a refusal says; it must be a problem document that ends the connection."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    return str(json.loads(answer.body)["detail"])


async def read_by(served: Served, *connections: Connection) -> None:
    """Return once the server has read what was sent: it answers one call that came later."""
    del connections
    await served.client.get("/livez")
    await served.client.get("/livez")


def large(size: int) -> bytes:
    """A task whose payload has about as many bytes."""
    return json.dumps({"taskId": "large", "payload": {"text": "x" * size}}).encode()


def unread(served: Served) -> int:
    """Bytes of answers that have not gone out."""
    return sum(one.transport.get_write_buffer_size() for one in served.connections._all)  # type: ignore[attr-defined]
