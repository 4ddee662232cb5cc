"""Statements beside the steps, such as hints: no promise hangs on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unlost.ledger.postgres.connection.connecting import Connection
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.transaction import BEGIN

SETTINGS = """
SELECT pg_catalog.set_config('synchronous_commit', 'off', true),
       pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('lock_timeout', '2s', true),
       pg_catalog.set_config('statement_timeout', '5s', true)
"""


async def aside(pool: Pool, sql: str, *values: Any) -> None:
    """Do something in a transaction of its own, whose commit waits for no disk and no standby.

    Raises psycopg.Error, LedgerUnavailable.
    """
    async with pool.lent() as db:
        await db.pipelined(_all(db, sql, values))


async def _all(db: Connection, sql: str, values: Sequence[Any]) -> None:
    await db.execute(BEGIN)
    await db.execute(SETTINGS)
    await db.execute(sql, values)
    await db.execute("COMMIT")
