"""A few connections, opened when they are needed, lent one transaction at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from unlost.ledger.postgres.connection.connecting import Connection, Place, close, is_stale
from unlost.ledger.postgres.connection.faults import HeldUp
from unlost.ledger.protocol import LedgerUnavailable

MOST: Final = 4
"""Connections of one process; servers allow few, small ones twenty in all."""

WRITING: Final = 3
"""How many of them commits may hold that wait for a standby, so that reads go on."""

UNUSED: Final = 30.0
"""Seconds after which a connection that nobody needed is given back."""


class Pool:
    """The connections of one ledger object; for one event loop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._room = asyncio.Semaphore(MOST)
        self._room_to_write = asyncio.Semaphore(WRITING)
        self._idle: list[tuple[Connection, float]] = []  # the one used last at the end
        self._closed = False

    @asynccontextmanager
    async def lent(
        self, *, writing: bool = False, until: float | None = None
    ) -> AsyncIterator[Connection]:
        """A connection that is outside any transaction; for `writing`, what is committed on it
        may wait.  `until` that time of the loop it is waited for.

        One that comes back in a transaction, or broken, is closed.  Raises psycopg.Error if none
        can be had, HeldUp if none is free in time.
        """
        async with AsyncExitStack() as rooms:
            try:
                async with asyncio.timeout_at(until):
                    if writing:
                        await rooms.enter_async_context(self._room_to_write)
                    await rooms.enter_async_context(self._room)
            except TimeoutError:
                raise HeldUp("no connection to PostgreSQL was free in time") from None
            db = await self._take()
            try:
                yield db
            except psycopg.Error:  # the driver's idea of it may be wrong (see store)
                await close(db)
                raise
            finally:
                await self._give_back(db)

    async def _take(self) -> Connection:
        while self._idle:
            db, _ = self._idle.pop()
            if not is_stale(db):
                return db
            await close(db)
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        return await self._place.connect()

    async def _give_back(self, db: Connection) -> None:
        if self._closed or db.info.transaction_status is not TransactionStatus.IDLE:
            await close(db)
            return
        now = monotonic()
        self._idle.append((db, now))
        while self._idle[0][1] < now - UNUSED:
            await close(self._idle.pop(0)[0])

    async def close(self) -> None:
        """Give back what is idle now, and the others when they come back."""
        self._closed = True
        while self._idle:
            await close(self._idle.pop()[0])
