"""Statements beside the steps, such as hints: no promise hangs on them."""

from __future__ import annotations

from typing import Any

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
        statements = db.statements()
        for one in (BEGIN, SETTINGS):
            statements.send(one)
        statements.send(sql, values)
        statements.send("COMMIT")
        await statements.exchange(last=True)
