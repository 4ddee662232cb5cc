"""Purging: what age takes from tasks that are over."""

from __future__ import annotations

from unlost.ledger.sqlite.connection.rows import rows
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.schema import ATTEMPT_BITS
from unlost.task import Micros

# Made only where something is ever purged: it would cost every settlement an index entry.
PURGE_INDEX = """
CREATE INDEX IF NOT EXISTS task_purgeable ON task (updated_at)
WHERE purged_at IS NULL AND state IN ('succeeded', 'cancelled')
"""


PURGEABLE = """
SELECT seq FROM task WHERE purged_at IS NULL AND state IN ('succeeded', 'cancelled')
  AND updated_at < ? AND NOT EXISTS (SELECT 1 FROM report WHERE report.seq = task.seq)
ORDER BY updated_at LIMIT ?
"""


def purge(transaction: Transaction, before: Micros, limit: int) -> int:
    """Remove payload, result, attempts, steps and effects of finished tasks; record and
    history stay."""
    db = transaction.db
    db.execute(PURGE_INDEX)
    seqs = [row[0] for row in rows(db, PURGEABLE, (before, limit))]
    for sql in (
        "DELETE FROM payload WHERE seq = ?1",
        "DELETE FROM result WHERE seq = ?1",
        f"DELETE FROM attempt WHERE key BETWEEN ?1 << {ATTEMPT_BITS}"  # noqa: ISC004
        f" AND ((?1 + 1) << {ATTEMPT_BITS}) - 1",
        "DELETE FROM step WHERE seq = ?1",
        "DELETE FROM effect WHERE seq = ?1",
        "UPDATE act SET payload = NULL WHERE seq = ?1",
    ):
        db.executemany(sql, [(seq,) for seq in seqs])
    db.executemany(
        "UPDATE task SET purged_at = ?, error_number = NULL, edit = NULL, effects = NULL"
        " WHERE seq = ?",
        [(transaction.now, seq) for seq in seqs],
    )
    return len(seqs)
