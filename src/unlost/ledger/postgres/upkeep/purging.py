"""What age does: removing what is big of tasks that are over."""

from __future__ import annotations

import contextlib
from typing import Final

from psycopg import errors

from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.transaction import NOW, SEQS, Transaction, packed
from unlost.task import Micros

PURGEABLE_INDEX: Final = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS task_purgeable ON unlost.task (updated_at, seq)
WHERE purged_at IS NULL AND state IN ('succeeded', 'cancelled')
"""
"""Made only where something is ever purged: it would cost every settlement an index entry."""

HAS_INDEX: Final = """
SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('unlost.task_purgeable')
"""

DROP_INDEX: Final = "DROP INDEX CONCURRENTLY IF EXISTS unlost.task_purgeable"

PURGEABLE = """
SELECT seq FROM unlost.task
WHERE purged_at IS NULL AND state IN ('succeeded', 'cancelled') AND updated_at < %(before)s
  AND NOT EXISTS (SELECT FROM unlost.report WHERE report.seq = task.seq)
ORDER BY updated_at, seq LIMIT %(limit)s FOR UPDATE OF task SKIP LOCKED
"""

REMOVE = (
    f"DELETE FROM unlost.payload WHERE seq = {SEQS}",
    f"DELETE FROM unlost.result WHERE seq = {SEQS}",
    f"DELETE FROM unlost.attempt WHERE seq = {SEQS}",
    f"UPDATE unlost.act SET payload = NULL WHERE seq = {SEQS} AND payload IS NOT NULL",
    f"UPDATE unlost.task SET purged_at = {NOW}, error_number = NULL, edit = NULL"  # noqa: ISC004
    f" WHERE seq = {SEQS}",
)


async def see_to_index(pool: Pool) -> None:
    """Make the index that a purge needs, beside all traffic.  Raises psycopg.Error."""
    async with pool.lent() as db:
        cursor = await db.execute(HAS_INDEX)
        found = await cursor.fetchone()
        if found is not None and found[0]:
            return
        if found is not None:  # whoever made it was interrupted
            await db.execute(DROP_INDEX)
        with contextlib.suppress(errors.UniqueViolation, errors.DuplicateTable):  # by others, too
            await db.execute(PURGEABLE_INDEX)


async def purge(transaction: Transaction, before: Micros, limit: int) -> int:
    """Remove payload, result and attempts of finished tasks; record and history stay."""
    found = await transaction.rows(PURGEABLE, {"before": before, "limit": limit})
    if found:
        values = {"seqs": packed([row[0] for row in found])}
        for sql in REMOVE:
            await transaction.do(sql, values)
    return len(found)
