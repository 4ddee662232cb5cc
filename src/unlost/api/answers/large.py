"""Answers that may be large: made when they have their turn, sent as fast as they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from unlost.api.answers.rendering import JSON, NO_SNIFFING
from unlost.api.answers.turns import Turn, Turns
from unlost.api.request.leaving import ClientGone, leaving

PIECE: Final = 64 * 1024
"""Bytes that are handed to the connection at once."""

MUCH: Final = 1024 * 1024
"""Bytes whose memory is given back when they are sent."""

READ_WITHIN: Final = 10.0
"""Seconds in which a client reads on."""

GIVE_WAY_AFTER: Final = 15.0
"""Seconds after which a client that still reads is sent away, where others wait for their turn."""

REPLAYED: Final = {"Idempotent-Replayed": "true"}
"""Of what was done before."""


class Replay(tuple[bytes, ...]):
    """The parts of an answer to a call that came before: it is a 200, and says so."""

    __slots__ = ()


Make = Callable[[], Awaitable[Sequence[bytes]]]


class Large:
    """A JSON answer, as an ASGI app.

    `make` makes it, in as many parts as it likes; `size` is what this may take, in bytes.  What
    `make` raises is raised before anything is sent.  A client that does not read is sent away.
    """

    def __init__(
        self,
        turns: Turns,
        size: int,
        make: Make,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._turns = turns
        self._size = size
        self._make = make
        self._status = status
        self._headers = {"Content-Type": JSON, **NO_SNIFFING, **(headers or {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer.  Raises Unavailable, ClientGone."""
        turn = await self._turn(receive)
        size = 0
        try:
            parts = await self._make()
            size = sum(map(len, parts))
            turn.keep(size if size > PIECE else 0)
            if isinstance(parts, Replay):
                self._status, self._headers = 200, {**self._headers, **REPLAYED}
            await self._send(parts, size, send)
        finally:
            turn.end()
            if size > MUCH:
                self._turns.freed.set()

    async def _turn(self, receive: Receive) -> Turn:
        turn = self._turns.at_once(self._size)
        if turn is not None:
            return turn
        async with leaving(receive) as gone:
            turn = await self._turns.wait(self._size)
            if gone.done():
                turn.end()
                raise ClientGone
            return turn

    async def _send(self, parts: Sequence[bytes], size: int, send: Send) -> None:
        headers = {**self._headers, "Content-Length": str(size)}
        raw = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
        await send({"type": "http.response.start", "status": self._status, "headers": raw})
        if size <= PIECE:
            await send({"type": "http.response.body", "body": b"".join(parts)})
            return
        clock = asyncio.get_running_loop().time
        begun = clock()
        for piece in _pieces(parts):
            if self._turns.wanted and clock() - begun > GIVE_WAY_AFTER:
                raise ClientGone
            try:
                async with asyncio.timeout(READ_WITHIN):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except TimeoutError:
                raise ClientGone from None
        await send({"type": "http.response.body"})


def _pieces(parts: Sequence[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are neither small nor large."""
    piece = bytearray()
    for part in parts:
        for start in range(0, len(part), PIECE):
            piece += part[start : start + PIECE]
            if len(piece) >= PIECE:
                yield bytes(piece)
                piece.clear()
    yield bytes(piece)
