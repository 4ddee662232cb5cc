"""Vacuuming the table of open tasks as it is churned, since the server's autovacuum comes too late.

Claims take what was due first, so what they leave in the index `open_task_due` lies before what
they look for: dead entries that each claim walks over until a vacuum has been.  The server looks
once a minute (`autovacuum_naptime`) whether there is something to vacuum, which no table can
change; in that time, thousands of tasks a second leave thousands of such pages.  Where a vacuum can
free nothing, since somebody holds a transaction open, claims have their marks (`attempts.marks`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import psycopg

from unlost.ledger.postgres.connection.faults import first_line
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.transaction import Row
from unlost.ledger.protocol import LedgerUnavailable
from unlost.telemetry.logs import Log

AFTER: Final = 5_000
"""Tasks that this process has claimed since it last began a vacuum: some fifty pages of index."""

REST: Final = 30
"""How many times as long as a vacuum took none is begun: where a million tasks wait, each looks
at the whole of the indexes."""

# Where another process vacuums, this does nothing; where the role does not own the table, neither.
VACUUM: Final = """
VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF, PARALLEL 0) unlost.open_task
"""

LONG: Final = 60
"""Seconds after which an open transaction is told of."""

MANY: Final = 100_000
"""Transactions that a replication slot or a standby may be behind before it is told of."""

# What keeps vacuums of this database from freeing what has died since.  Of other roles' sessions
# the server tells whoever may read all statistics.  A standby that tells what its queries still see
# (hot_standby_feedback) holds it by its slot, or without one by its connection.
HELD_OPEN: Final = f"""
SELECT words FROM (
  SELECT pg_catalog.format('process %s (role %s, %s) for %s s', pid, usename, state,
           extract(epoch FROM pg_catalog.clock_timestamp() - xact_start)::bigint) AS words,
         pg_catalog.age(backend_xmin) AS age
  FROM pg_catalog.pg_stat_activity
  WHERE datname = pg_catalog.current_database() AND backend_xmin IS NOT NULL
    AND pid <> pg_catalog.pg_backend_pid()
    AND xact_start < pg_catalog.clock_timestamp() - interval '{LONG} s'
  UNION ALL
  SELECT pg_catalog.format('the prepared transaction %L for %s s', gid,
           extract(epoch FROM pg_catalog.clock_timestamp() - prepared)::bigint),
         pg_catalog.age(transaction)
  FROM pg_catalog.pg_prepared_xacts
  WHERE database = pg_catalog.current_database()
    AND prepared < pg_catalog.clock_timestamp() - interval '{LONG} s'
  UNION ALL
  SELECT pg_catalog.format('the replication slot %s for %s transactions', slot_name,
           pg_catalog.age(xmin)), pg_catalog.age(xmin)
  FROM pg_catalog.pg_replication_slots WHERE pg_catalog.age(xmin) > {MANY}
  UNION ALL
  SELECT pg_catalog.format('the standby %L (role %s) for %s transactions', application_name,
           usename, pg_catalog.age(backend_xmin)), pg_catalog.age(backend_xmin)
  FROM pg_catalog.pg_stat_replication WHERE pg_catalog.age(backend_xmin) > {MANY}) AS held
ORDER BY age DESC LIMIT 1
"""

Ask = Callable[[str], Awaitable[list[Row]]]

log = Log("unlost.ledger")


async def held_open(ask: Ask) -> str | None:
    """What has held a transaction open for long, and what that does; None where nothing has."""
    found = await ask(HELD_OPEN)
    if not found:
        return None
    return (
        f"{found[0][0]} holds a transaction open: no vacuum frees what has died since; the tables"
        " grow and the queue slows down until it ends"
    )


class Vacuum:
    """Vacuums in the background, on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._claimed = 0
        self._rests_until = 0.0
        self._running: asyncio.Task[None] | None = None

    def claimed(self, many: int) -> None:
        """Count tasks that were claimed; begin a vacuum, if it is time."""
        self._claimed += many
        now = asyncio.get_running_loop().time()
        if self._claimed >= AFTER and self._running is None and now >= self._rests_until:
            self._claimed = 0
            self._running = asyncio.create_task(self._vacuum())

    async def _vacuum(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with self._pool.lent() as db:
                await db.execute(VACUUM, prepare=False)
        except (psycopg.Error, LedgerUnavailable) as fault:  # nothing but speed hangs on it
            log.debug("ledger.not_vacuumed", extra={"error": first_line(fault)})
        finally:
            self._rests_until = loop.time() + REST * (loop.time() - began)
            self._running = None

    async def close(self) -> None:
        """End what runs."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
