"""A time by which a connection has to be free again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import psycopg

from unlost.ledger.postgres.connection.connecting import Connection, cut

TO_END: Final = 1.0
"""Seconds that the server gets to end what it does, once it was asked to."""


class Deadline:
    """Ends what is done on a connection at `at`, a time of the loop.

    The server is asked first: one that waits for a standby does not see that its client is gone,
    and would keep its place and its locks for as long as it waits.
    """

    def __init__(self, db: Connection, at: float) -> None:
        self._db = db
        self._ending: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_at(at, self._pass)

    @property
    def passed(self) -> bool:
        """Whether it came to that; the connection must not be used again then."""
        return self._ending is not None

    def _pass(self) -> None:
        self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        until = asyncio.get_running_loop().time() + TO_END
        with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
            async with asyncio.timeout_at(until):
                await self._db.cancel_safe(timeout=TO_END)
        await asyncio.sleep(until - asyncio.get_running_loop().time())
        cut(self._db)

    async def over(self) -> None:
        """The connection is free; nothing is asked of its server any more."""
        self._timer.cancel()
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait([self._ending])
