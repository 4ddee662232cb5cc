"""A server that waits for a standby which is not there, from when a test says so."""

from __future__ import annotations

import asyncio
from typing import LiteralString

import psycopg

from tests.postgres.server import Server

PATIENCE = 20.0

COUNT = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
CANCEL = """
SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'
"""

WRITE = "SELECT pg_logical_emit_message(true, 'unlost', 'test')"


class Standby:
    """What a server's commits wait for: nobody, or a standby that never comes.

    The server has to have been started with `max_wal_senders` above 0.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    async def need(self) -> None:
        """From now on, commits wait."""
        self._name("ghost")
        db = await psycopg.AsyncConnection.connect(self._server.url(), autocommit=True)
        async with db:
            while True:  # the server's processes hear of it one after another
                written = asyncio.create_task(db.execute(WRITE))
                ended = asyncio.create_task(self.cancel_waits())
                first, _ = await asyncio.wait([written, ended], return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
                await written
                if ended in first:
                    return

    async def cancel_waits(self) -> int:
        """End all that wait, as an administrator would, once some do; how many they were."""
        return await self._once_some(CANCEL)

    async def comes_to_wait(self) -> None:
        """Return once a commit waits."""
        await self._once_some(COUNT)

    def waits(self) -> int:
        """How many commits wait now."""
        with self._server.connect() as db:
            row = db.execute(COUNT).fetchone()
            return 0 if row is None else int(row[0])

    async def _once_some(self, sql: LiteralString) -> int:
        with self._server.connect() as db:
            async with asyncio.timeout(PATIENCE):
                while True:
                    row = db.execute(sql).fetchone()
                    if row is not None and row[0]:
                        return int(row[0])
                    await asyncio.sleep(0.01)

    def forgo(self) -> None:
        """Whoever waits is answered, and nobody waits any more."""
        self._name("")

    def _name(self, names: str) -> None:
        with self._server.connect() as db:
            db.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
            db.execute("SELECT pg_reload_conf()")
