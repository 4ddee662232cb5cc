"""Who hears notifications, and who wants to hear of transitions, as all processes can see it.

Each transaction looks whether there is anybody (`Transaction.heard`, `watched`).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import psycopg

from unlost.ledger.postgres.connection.aside import aside
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.transaction import packed
from unlost.ledger.postgres.schema import HEARS
from unlost.ledger.protocol import LedgerUnavailable

BELIEVED: Final = 30.0
"""Seconds that somebody is believed to be there; it is said anew three times as often."""

LEAVING: Final = 1.0
"""Seconds that a stop takes for it at most; others find out by themselves."""

ENLIST: Final = f"""
INSERT INTO unlost.watcher (id, until)
SELECT id, clock_timestamp() + interval '{BELIEVED} s' FROM json_array_elements_text(%s::json) AS id
ON CONFLICT (id) DO UPDATE SET until = excluded.until
"""

STRIKE_OFF: Final = """
DELETE FROM unlost.watcher WHERE until < clock_timestamp()
   OR id = ANY (ARRAY(SELECT json_array_elements_text(%s::json)))
"""


class Presence:
    """What others can see of one ledger object that can be heard by them, or cannot."""

    def __init__(self, pool: Pool, origin: str) -> None:
        self._pool = pool
        self._hearing = HEARS + origin
        self._watching = origin
        self._watchers = 0
        self._saying: asyncio.Task[None] | None = None

    async def hears(self) -> None:
        """Let others know that notifications reach us.  Raises psycopg.Error, LedgerUnavailable."""
        await self._say(ENLIST, *self._all())
        if self._saying is None:
            self._saying = asyncio.create_task(self._keep_saying())

    async def hears_not(self) -> None:
        """Let others know that they do not, if it was said that they do.  Never raises."""
        if self._saying is None:
            return
        self._saying.cancel()
        await asyncio.wait([self._saying])
        self._saying = None
        with contextlib.suppress(psycopg.Error, LedgerUnavailable, OSError):  # TimeoutError too
            async with asyncio.timeout(LEAVING):
                await self._say(STRIKE_OFF, self._hearing, self._watching)

    async def watches(self) -> None:
        """Count one who wants to hear of transitions, once others know that there is one here, if
        they can be heard.  Raises psycopg.Error, LedgerUnavailable."""
        if self._saying is not None and not self._watchers:
            await self._say(ENLIST, self._watching)
        self._watchers += 1

    def watches_not(self) -> None:
        """Count one less; others may take a while to see it."""
        self._watchers -= 1

    def _all(self) -> list[str]:
        return [self._hearing, self._watching] if self._watchers else [self._hearing]

    async def _say(self, how: str, *ids: str) -> None:
        await aside(self._pool, how, packed(ids))

    async def _keep_saying(self) -> None:
        while True:
            await asyncio.sleep(BELIEVED / 3)
            with contextlib.suppress(psycopg.Error, LedgerUnavailable, OSError):
                await self._say(ENLIST, *self._all())
                await self._say(STRIKE_OFF, *([] if self._watchers else [self._watching]))
