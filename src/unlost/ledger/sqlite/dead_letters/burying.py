"""Burying and lifting: how a task becomes a dead letter, and how it ends to be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.sqlite.connection.rows import first, rows
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.task import TaskError

COUNT_UP = """
INSERT INTO dead_group (fingerprint, error_type, sample, count) VALUES (?, ?, ?, 1)
ON CONFLICT (fingerprint) DO UPDATE SET count = count + 1, sample = excluded.sample
"""

DEAD = "INSERT INTO dead (seq, died_at, fingerprint, error_type) VALUES (?, ?, ?, ?)"

REPORT = "INSERT INTO report (seq, died_at, number, attempt_count, edit) VALUES (?, ?, ?, ?, ?)"


def bury(
    transaction: Transaction,
    seq: int,
    number: int,
    attempt_count: int,
    edit: int | None,
    error: TaskError | None,
) -> None:
    """Make a task a dead letter, counted in its group, with a report to be made of it."""
    db, now, why = transaction.db, transaction.now, error or UNKNOWN
    db.execute(DEAD, (seq, now, why.fingerprint, why.type))
    db.execute(COUNT_UP, (why.fingerprint, why.type, why.message))
    db.execute(REPORT, (seq, now, number, attempt_count, edit))


def lift(transaction: Transaction, seq: int) -> None:
    """Take a task out of the dead letters and out of its group's count."""
    db = transaction.db
    row = first(db, "DELETE FROM dead WHERE seq = ? RETURNING fingerprint", (seq,))
    if row is not None:
        db.execute("UPDATE dead_group SET count = count - 1 WHERE fingerprint = ?", row)
        db.execute("DELETE FROM dead_group WHERE fingerprint = ? AND count = 0", row)


LIFT_MANY = """
DELETE FROM dead WHERE seq IN (SELECT value FROM json_each(?)) RETURNING fingerprint
"""


def lift_many(transaction: Transaction, seqs: Sequence[int]) -> None:
    """Take tasks out of the dead letters and out of their groups' counts."""
    db, packed = transaction.db, msgspec.json.encode(seqs).decode()
    counts = Counter(fingerprint for (fingerprint,) in rows(db, LIFT_MANY, (packed,)))
    for name, count in counts.items():
        db.execute("UPDATE dead_group SET count = count - ? WHERE fingerprint = ?", (count, name))
        db.execute("DELETE FROM dead_group WHERE fingerprint = ? AND count = 0", (name,))
