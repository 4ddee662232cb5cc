"""A few connections, opened when they are needed, lent one transaction at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg
from psycopg.pq import TransactionStatus

from unlost.ledger.postgres.connection.connecting import Connection, Place, close, is_stale
from unlost.ledger.protocol import LedgerUnavailable

MOST: Final = 4
"""Connections of one process; servers allow few, small ones twenty in all."""

UNUSED: Final = 30.0
"""Seconds after which a connection that nobody needed is given back."""


class Pool:
    """The connections of one ledger object; for one event loop."""

    def __init__(self, place: Place, most: int = MOST) -> None:
        self._place = place
        self._room = asyncio.Semaphore(most)
        self._idle: list[tuple[Connection, float]] = []  # the one used last at the end
        self._closed = False

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Connection]:
        """A connection that is outside any transaction.  Raises psycopg.Error, if none can be had.

        One that comes back in a transaction, or broken, is closed.
        """
        async with self._room:
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
        now = time.monotonic()
        self._idle.append((db, now))
        while self._idle[0][1] < now - UNUSED:
            await close(self._idle.pop(0)[0])

    async def close(self) -> None:
        """Give back what is idle now, and the others when they come back."""
        self._closed = True
        while self._idle:
            await close(self._idle.pop()[0])
