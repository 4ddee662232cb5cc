"""A worker's connections to its service: asyncio's transports, and the parser of HTTP that the
service itself uses.

With httpx a call costs ten times as much, which is half of what a worker does for quick handlers.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, cast
from urllib.parse import quote, urlsplit

import httptools

from unlost.client.address import Address
from unlost.client.core.wire import Answer, NoAnswer, Reply, Request, words
from unlost.pulling.dialing import connected

CONNECT: Final = 5.0
"""Seconds that a connection may take, with all that its host's addresses are tried for."""

AT_ONCE: Final = 100
"""Calls that are under way together, at most."""

KEPT: Final = 15.0
"""Seconds that a connection without calls is kept: less than what lies between keeps it."""

LOOKS: Final = 4
"""Looks, within the patience that a call has, for whether something has moved."""

LARGEST_HEAD: Final = 64 * 1024
"""Bytes that an answer's headers may have, with those of what comes before it (`100 Continue`)."""

LARGEST: Final = 16 * 1024 * 1024
"""Bytes that an answer may have: twice what a claim is given at most."""


def authority(url: str) -> str:
    """The host and port of a URL as HTTP names them.  Raises ValueError for what can be none."""
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()
    name = f"[{host}]" if ":" in host else host
    return name if parts.port is None else f"{name}:{parts.port}"


class Connections:
    """Makes calls over connections that are kept for the next ones.

    `patience` are the seconds in which something must move: sent, or received.
    """

    def __init__(self, address: Address, patience: float) -> None:
        """Raises ValueError for an address that can be none."""
        parts = urlsplit(address.url)
        self._url, self._patience = address.url, patience
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._trust = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
        named = {"host": authority(address.url), **address.headers()}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self._idle: list[_Connection] = []  # the one that was used last comes last
        self._places = asyncio.Semaphore(AT_ONCE)

    async def ask(self, request: Request, within: float | None = None) -> Reply:
        """What this call is answered, or why it was not: in so many seconds, if any are given, and
        the time in which it waits for its turn."""
        async with self._places:
            try:
                async with asyncio.timeout(within):
                    return await self._once(request)
            except TimeoutError:
                self._close_idle()  # the way that they take may be cut off for all of them
                return NoAnswer(f"{self._url} did not answer in time")

    async def _once(self, request: Request) -> Reply:
        """Raises TimeoutError."""
        try:
            connection = self._kept() or await self._made()
        except TimeoutError:
            raise
        except OSError as error:
            return NoAnswer(f"no service at {self._url} ({words(error)})")
        try:
            return await connection.ask(self._text(request), self._patience + request.waits)
        except TimeoutError:
            raise
        except OSError as error:
            return NoAnswer(f"the connection to {self._url} broke ({words(error)})")
        finally:
            self._give_back(connection)

    def _text(self, request: Request) -> bytes:
        body = request.body or b""
        head = (
            f"{request.method} {self._path}{request.path} HTTP/1.1\r\n{self._head}"
            f"content-type: {request.content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _kept(self) -> _Connection | None:
        """One that can be used again; those that cannot are closed."""
        long_ago = asyncio.get_running_loop().time() - KEPT
        while self._idle and self._idle[0].idle_since < long_ago:
            self._idle.pop(0).close()
        while self._idle:
            if (connection := self._idle.pop()).usable:
                return connection
        return None

    async def _made(self) -> _Connection:
        loop = asyncio.get_running_loop()
        name = None if self._trust is None else self._host
        async with asyncio.timeout(CONNECT):
            way = await connected(self._host, self._port)
            try:
                _, made = await loop.create_connection(
                    _Connection, sock=way, ssl=self._trust, server_hostname=name
                )
            except BaseException:
                way.close()
                raise
        return made

    def _give_back(self, connection: _Connection) -> None:
        connection.idle_since = asyncio.get_running_loop().time()
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.close()

    async def close(self) -> None:
        """Close those that are idle; no more calls are made."""
        self._close_idle()
        await asyncio.sleep(0)

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Connection(asyncio.Protocol):
    """One connection, with one call at a time.  `usable` is whether there can be another."""

    def __init__(self) -> None:
        self.usable = True
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._received = 0  # bytes, since the last call began
        self._has_head = False
        self._until_closed = False

    async def ask(self, text: bytes, patience: float) -> Answer:
        """Send this, and return what is answered.  Raises OSError, and TimeoutError where nothing
        has moved for so many seconds."""
        transport = self._transport
        if transport is None or not self.usable:
            raise ConnectionError("it is not open")
        loop = asyncio.get_running_loop()
        self.usable, self._has_head, self._received = False, False, 0
        self._answer = loop.create_future()
        transport.write(text)
        moved, since = (0, transport.get_write_buffer_size()), loop.time()
        while True:
            await asyncio.wait((self._answer,), timeout=patience / LOOKS)
            if self._answer.done():
                return self._answer.result()
            before, moved = moved, (self._received, transport.get_write_buffer_size())
            if moved != before:
                since = loop.time()
            elif loop.time() - since >= patience:
                raise TimeoutError

    def close(self) -> None:
        """Close it at once; safe to call twice."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by their class

    def data_received(self, data: bytes) -> None:
        if not self._asked:
            self.close()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(f"what was answered is no HTTP: {error}")
        if not self._has_head and self._received > LARGEST_HEAD:
            self._break(f"its headers have more than {LARGEST_HEAD} bytes")
        if self._received > LARGEST:
            self._break(f"it has answered with more than {LARGEST} bytes")

    def connection_lost(self, error: Exception | None) -> None:
        if error is None and self._until_closed:
            self.on_message_complete()
        self._break(str(error or "it was closed before the answer was there"))

    @property
    def _asked(self) -> bool:
        """Whether an answer is to come."""
        return self._answer is not None and not self._answer.done()

    def _break(self, why: str) -> None:
        self.usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(why))

    # What the parser tells

    def on_message_begin(self) -> None:
        self._headers, self._body, self._until_closed = {}, [], False
        self.usable = False  # also where it comes after the answer

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        before = self._headers.get(name)
        self._headers[name] = value if before is None else before + b", " + value

    def on_headers_complete(self) -> None:
        framed = {b"content-length", b"transfer-encoding"} & self._headers.keys()
        self._until_closed = not framed
        self._has_head = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._answer is None or self._answer.done():
            return
        header = {name: self._headers.get(name, b"").decode("latin-1") for name in _READ}
        self.usable = self._parser.should_keep_alive()
        answer = Answer(status, b"".join(self._body), *header.values())
        self._answer.set_result(answer)


_READ: Final = (b"retry-after", b"date")
