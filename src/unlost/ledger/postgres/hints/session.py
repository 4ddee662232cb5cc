"""Whether what a connection listens to stays with it.

A pooler that lends connections by transaction takes LISTEN without an error, and leaves it on the
connection to the server that it happened to lend.  What is notified then comes there: to whoever
it is lent to next, or to nobody, with a warning in the pooler's log.  So this is tried with a
channel that nobody else knows, and it is taken back from where it was left.
"""

from __future__ import annotations

import asyncio
import contextlib
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
AT_ONCE: Final = 4
LENT: Final = 0.01
"""How often it is tried to take back what was left behind, on how many connections at a time, and
how many seconds each of them is kept for it: a pooler that lends what it was given last has to
look deeper then."""

WITHIN: Final = 1.0
"""Seconds that it may take."""

NOTIFY: Final = "SELECT pg_notify(%s, '')"

LISTENS: Final = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_listening_channels() AS name WHERE name = '{channel}')
"""

# One message to the server, and so one transaction, on one connection of a pooler's.
TAKE_BACK: Final = LISTENS + "; UNLISTEN {channel}; SELECT pg_catalog.pg_sleep({lent})"


async def stays(db: Connection, pool: Pool, channel: str) -> bool:
    """Whether `db` goes on listening to what it listens to, tried with this `channel`.

    If not, hardly anything is left behind.  Raises psycopg.Error, LedgerUnavailable.
    """
    left = True  # behind, as far as is known
    try:
        await db.execute(f"LISTEN {channel}")
        for looks in range(1, LOOKS + 1):
            for _ in range(looks):
                if await _taken_back(pool, channel):
                    left = False
                    return False
            if not await _yes(db, LISTENS.format(channel=channel)):
                return False
        await aside(pool, NOTIFY, channel)
        async for _ in db.notifies(timeout=PATIENCE, stop_after=1):
            left = False
            return True
        return False
    finally:
        if left:
            await take_back(pool, channel)


async def take_back(pool: Pool, channel: str) -> None:
    """Have the pooler's connections listen to this channel no more, as far as they can be had."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WITHIN):
            for _ in range(TRIES):
                tries = [_taken_back(pool, channel, LENT) for _ in range(AT_ONCE)]
                if True in await asyncio.gather(*tries, return_exceptions=True):
                    return


async def _taken_back(pool: Pool, channel: str, lent: float = 0) -> bool:
    """Whether a connection that never listened was listening, which it is no more."""
    async with pool.lent() as db:
        return await _yes(db, TAKE_BACK.format(channel=channel, lent=lent))


async def _yes(db: Connection, question: str) -> bool:
    [(answer, *_)] = await db.rows(question)
    return bool(answer)
