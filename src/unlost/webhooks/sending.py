"""Sending a request to where a webhook may go, and nowhere else.

HTTP/1.1 by hand, over a connection of its own: one request, of whose answer the head is read and
the rest is not.  A client library could not be held to the address that was checked as simply, and
would be in every worker and in the package for AWS.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from unlost.webhooks.target import Reach, Target, check

TIMEOUT: Final = 15.0
"""Seconds for all of it: the name, the connection, the answer's head."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for a connection to one address."""

MOST_ADDRESSES: Final = 3
"""Addresses of a host that are tried, one after the other."""

MOST_LINES: Final = 200
"""Lines that an answer's heads may have, each of 64 KiB at most."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?", re.DOTALL)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host, for a port.  Raises OSError."""


class NotSent(Exception):
    """Nobody has answered.  The message says why."""


class Answer(NamedTuple):
    """What the receiver answered, without the body, which nobody reads."""

    status: int
    retry_after: tuple[str, ...]


async def system_resolve(host: str, port: int) -> list[str]:
    """What the system's resolver knows."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Sender:
    """Sends requests to addresses within `reach`.

    A host is resolved once a request, all of its addresses must be within reach, and the
    connection goes to one of just these: a name that is resolved anew could lead elsewhere.
    Redirects are not followed; proxies of the environment do not count.
    """

    def __init__(
        self, reach: Reach, *, resolve: Resolve = system_resolve, tls: ssl.SSLContext | None = None
    ) -> None:
        self._reach = reach
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()

    async def post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a POST.  Raises NotSent, and BadTarget if the host is out of reach."""
        try:
            async with asyncio.timeout(TIMEOUT):
                reader, writer = await self._connect(target)
                try:
                    writer.write(_request(target, headers, body))
                    return await _answer(reader)
                finally:
                    writer.close()
        except TimeoutError:
            raise NotSent(f"no answer within {TIMEOUT:g} s") from None
        except (OSError, EOFError, ValueError) as error:
            raise NotSent(f"no answer: {_why(error)}") from None

    async def _connect(self, target: Target) -> tuple[StreamReader, StreamWriter]:
        """A connection to the first of the host's addresses that takes one."""
        failure = "the host has no address"
        for address in await self._addresses(target):
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    return await self._connect_to(address, target)
            except OSError as error:
                failure = f"no connection: {_why(error)}"
        raise NotSent(failure)

    async def _addresses(self, target: Target) -> list[str]:
        try:
            found = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError):
            raise NotSent("the host's name cannot be resolved") from None
        addresses = list(dict.fromkeys(found))
        for address in addresses:
            check(address, self._reach)
        return addresses[:MOST_ADDRESSES]

    async def _connect_to(self, address: str, target: Target) -> tuple[StreamReader, StreamWriter]:
        if target.scheme == "http":
            return await asyncio.open_connection(address, target.port)
        name = target.host.rstrip(".")  # whom the certificate must name
        return await asyncio.open_connection(
            address, target.port, ssl=self._tls, server_hostname=name
        )


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    all_headers = {
        "Host": target.authority,
        **headers,
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = [f"{name}: {value}\r\n" for name, value in all_headers.items()]
    return f"POST {target.path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body


async def _answer(reader: StreamReader) -> Answer:
    """The head of the final answer.  Raises ValueError if it is none, EOFError if none comes."""
    lines = 0
    while True:
        status = _STATUS.fullmatch((await _line(reader)).rstrip())
        if status is None:
            raise ValueError("what came is not HTTP")
        asked: list[str] = []
        while line := (await _line(reader)).strip():
            name, _, value = line.decode("latin-1").partition(":")
            if name.lower() == "retry-after":
                asked.append(value.strip())
            lines += 1
            if lines > MOST_LINES:
                raise ValueError("its head is too long")
        if not status[1].startswith(b"1"):  # 103 and the like come before the answer
            return Answer(int(status[1]), tuple(asked))


async def _line(reader: StreamReader) -> bytes:
    try:
        line = await reader.readline()
    except ValueError:
        raise ValueError("its head is too long") from None
    if not line.endswith(b"\n"):
        raise EOFError("the connection was closed")
    return line


def _why(error: Exception) -> str:
    """Why it failed, without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate does not hold: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or type(error).__name__}"
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else type(error).__name__
    return str(error)
