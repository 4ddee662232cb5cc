"""Sending a request to where a webhook may go, and nowhere else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ssl import SSLContext
from typing import Final, NamedTuple

import httpx

from unlost.webhooks.target import Reach, Target, check

TIMEOUT: Final = 15.0
"""Seconds for all of it: the name, the connection, the answer's head."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for a connection to one address."""

MOST_ADDRESSES: Final = 3
"""Addresses of a host that are tried, one after the other."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host, for a port.  Raises OSError."""


class NotSent(Exception):
    """Nobody has answered.  The message says why."""


class Answer(NamedTuple):
    """What the receiver answered, without the body, which nobody reads."""

    status: int
    retry_after: str | None


async def system_resolve(host: str, port: int) -> list[str]:
    """What the system's resolver knows."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Sender:
    """Sends requests to addresses within `reach`.

    A host is resolved once a request, all of its addresses must be within reach, and the
    connection goes to one of just these: a name that is resolved anew could lead elsewhere.
    Redirects are not followed; proxies and `.netrc` of the environment do not count.
    """

    def __init__(
        self, reach: Reach, *, resolve: Resolve = system_resolve, tls: SSLContext | None = None
    ) -> None:
        self._reach = reach
        self._resolve = resolve
        self._tls = tls or httpx.create_ssl_context()

    async def post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a POST.  Raises NotSent, and BadTarget if the host is out of reach."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._post(target, headers, body)
        except TimeoutError:
            raise NotSent(f"no answer within {TIMEOUT:g} s") from None

    async def _post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        failure = "the host has no address"
        for address in await self._addresses(target):
            try:
                return await self._post_to(address, target, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = f"no connection: {_why(error)}"
            except httpx.TransportError as error:
                raise NotSent(f"no answer: {_why(error)}") from None
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

    async def _post_to(
        self, address: str, target: Target, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        url = httpx.URL(target.url).copy_with(host=address)
        request = httpx.Request(
            "POST",
            url,
            headers={"host": target.authority, **headers},
            content=body,
            extensions={
                "sni_hostname": target.host.rstrip("."),  # whom the certificate must name
                "timeout": {"connect": CONNECT_TIMEOUT, "read": TIMEOUT, "write": TIMEOUT},
            },
        )
        # Nothing is kept: another host at the same address is another receiver.
        async with httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            await response.aclose()
        return Answer(response.status_code, response.headers.get("retry-after"))


def _why(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__
