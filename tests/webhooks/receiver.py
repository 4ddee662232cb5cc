"""A real receiver of webhooks on 127.0.0.1."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from standardwebhooks import Webhook

SECRET = "whsec_" + "c2VjcmV0IHRoYXQgaXMgb25lIG9mIHR3ZW50eS1mb3VyIQ=="
OLDER = "whsec_" + "YW4gb2xkZXIgc2VjcmV0LCBzdGlsbCBnb29kIGZvciBhIHdoaWxl"


class Request(NamedTuple):
    """What came, and over which TLS name."""

    line: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str = SECRET) -> Any:
        """The body's JSON, if the reference implementation finds the signature good."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """Answers requests with `answers`, one after the other, the last one again and again."""

    port: int = 0
    answers: Sequence[str] = ("204 No Content",)
    requests: list[Request] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?to=me"

    async def got(self, count: int = 1) -> list[Request]:
        """The requests, once there are so many."""
        async with asyncio.timeout(20), self.came:
            await self.came.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        # Who sends may have enough of it, and so may the test.
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._one(reader, writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        async with self.came:
            self.requests.append(Request(line, headers, body))
            self.came.notify_all()
        if answer:
            writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        else:
            await reader.read()  # no answer: until the other side has enough


@asynccontextmanager
async def receiving(
    *answers: str, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Receiver]:
    """A receiver; an empty answer is none."""
    receiver = Receiver(answers=answers or ("204 No Content",))
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
