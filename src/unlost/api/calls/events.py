"""`GET /events`: the transitions as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from unlost.access.caller import Caller
from unlost.api.calls.watching.following import Follower
from unlost.api.calls.watching.watch import Watch
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import status as op
from unlost.api.request.caller import caller_of
from unlost.api.request.leaving import leaving
from unlost.ledger.protocol import LedgerUnavailable

KEEP_ALIVE: Final = 15.0
"""Seconds between two comments, which show that the stream still lives."""

TO_END: Final = 2.0
"""Seconds that a reader gets to read that its stream has ended; then its connection is cut."""

Holds = Callable[[Caller], Awaitable[bool]]
"""Tells whether a caller may go on.  Raises LedgerUnavailable."""

_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the stream back
    (b"x-content-type-options", b"nosniff"),
]


class Events:
    """Streams what happens to each who asks, until they leave or the service stops, or their key
    is one no more (which is looked at as often as a comment is due, however slowly they read), or
    another key gets their place."""

    def __init__(self, watch: Watch, holds: Holds, keep_alive: float = KEEP_ALIVE) -> None:
        self._watch = watch
        self._holds = holds
        self._keep_alive = keep_alive

    def routes(self) -> list[Route]:
        """What leads here."""
        return [Route(op.EVENTS, self.stream)]

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The endpoint.  Raises Unavailable before the stream has begun."""
        if scope["method"] == "HEAD":
            await _start(send)
            await send({"type": "http.response.body"})
            return
        caller = caller_of(scope)
        given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        following = self._watch.follow(caller, partial(given_up.set_result, None))
        async with following as follower, leaving(receive) as gone:
            sending = asyncio.create_task(self._send(follower, send))
            refused = asyncio.create_task(self._refused(caller))
            closed = asyncio.create_task(self._watch.closed.wait())
            try:
                ends: set[asyncio.Future[Any]] = {sending, gone, closed, refused, given_up}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                closed.cancel()
                refused.cancel()
                sending.cancel()
                with suppress(asyncio.CancelledError):
                    await sending
            if not gone.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(TO_END):
                        await send({"type": "http.response.body"})

    async def _send(self, follower: Follower, send: Send) -> None:
        await _start(send)
        clock = asyncio.get_running_loop().time
        text, due = b": following\n\n", clock() + self._keep_alive
        while True:
            if text:
                await send({"type": "http.response.body", "body": text, "more_body": True})
            text = await follower.take(max(0.0, due - clock()))
            if clock() >= due:
                text += b": still here\n\n"
                due = clock() + self._keep_alive

    async def _refused(self, caller: Caller) -> None:
        """Return once the caller's key is one no more, or nobody can tell."""
        with suppress(LedgerUnavailable):
            while True:
                await asyncio.sleep(self._keep_alive)
                if not await self._holds(caller):
                    return


async def _start(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
