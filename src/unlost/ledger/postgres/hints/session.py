"""Whether what a connection listens to stays with it.

A pooler that lends connections by transaction takes LISTEN without an error, and leaves it on the
connection to the server that it happened to lend.  What is notified then comes there: to whoever
it is lent to next, or to nobody, with a warning in the pooler's log.  So this is tried with a
channel that nobody else knows, and it is taken back from where it was left.
"""

from __future__ import annotations

import asyncio
from typing import Final

from unlost.ledger.postgres.connection.aside import aside
from unlost.ledger.postgres.connection.connecting import Connection
from unlost.ledger.postgres.connection.pool import Pool

PATIENCE: Final = 3.0
"""Seconds after which a notification to oneself counts as lost."""

LOOKS: Final = 3
"""Rounds in which it is looked who is lent the connection that listens, each of one look more: a
pooler that lends its connections in turn gives it to somebody else in one of them."""

TRIES: Final = 20
APART: Final = 0.02
"""How often it is tried to take back what was left behind, and how many seconds apart."""

NOTIFY: Final = "SELECT pg_notify(%s, '')"

LISTENS: Final = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_listening_channels() AS name WHERE name = '{channel}')
"""

# One message to the server, and so one transaction, on one connection of a pooler's.
TAKE_BACK: Final = LISTENS + "; UNLISTEN {channel}"


async def stays(db: Connection, pool: Pool, channel: str) -> bool:
    """Whether `db` goes on listening to what it listens to, tried with this `channel`.

    If not, hardly anything is left behind.  Raises psycopg.Error, LedgerUnavailable.
    """
    await db.execute(f"LISTEN {channel}")
    for looks in range(1, LOOKS + 1):
        for _ in range(looks):
            if await _taken_back(pool, channel):
                return False
        if not await _yes(db, LISTENS.format(channel=channel)):
            break
    else:
        await aside(pool, NOTIFY, channel)
        async for _ in db.notifies(timeout=PATIENCE, stop_after=1):
            return True
    await _take_back(pool, channel)
    return False


async def _take_back(pool: Pool, channel: str) -> None:
    for _ in range(TRIES):
        if await _taken_back(pool, channel):
            return
        await asyncio.sleep(APART)


async def _taken_back(pool: Pool, channel: str) -> bool:
    """Whether a connection that never listened was listening, which it is no more."""
    async with pool.lent() as db:
        return await _yes(db, TAKE_BACK.format(channel=channel))


async def _yes(db: Connection, question: str) -> bool:
    [(answer, *_)] = await db.rows(question)
    return bool(answer)
