"""Connecting to a host that may have several addresses, some of which nobody answers."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

NEXT: Final = 0.25
"""Seconds after which the next address is tried beside those before it."""

Found = tuple[Any, ...]
"""An address as getaddrinfo tells it."""

Resolve = Callable[[str, int], Awaitable[Sequence[Found]]]
"""The addresses of a host, for a port.  Raises OSError."""


async def system_resolve(host: str, port: int) -> Sequence[Found]:
    """What the system's resolver knows."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def connected(host: str, port: int, resolve: Resolve = system_resolve) -> socket.socket:
    """A connection to the first of the host's addresses that takes one.

    Raises OSError: why the last of them did not.
    """
    left = deque(await resolve(host, port))
    waiting: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException = OSError("the host has no address")
    try:
        while left or waiting:
            if left:
                waiting.add(asyncio.create_task(_connected_to(left.popleft())))
            ended, _ = await asyncio.wait(
                waiting, timeout=NEXT if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for one in ended:
                waiting.discard(one)
                if (error := one.exception()) is None:
                    waiting |= ended - {one}
                    return one.result()
                failure = error
        raise failure
    finally:
        for one in waiting:
            one.cancel()
            one.add_done_callback(_close)


async def _connected_to(found: Found) -> socket.socket:
    family, kind, protocol, _, address = found
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _close(late: asyncio.Task[socket.socket]) -> None:
    if not late.cancelled() and late.exception() is None:
        late.result().close()
