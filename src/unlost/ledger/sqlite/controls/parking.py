"""Parking: tasks that are due while their key has no room are out of the way of claims.

A claim that meets one parks it, so that no tenant's backlog is walked again and again.  As long as
any task of a key is parked, as many of its attempts run as may, or one more is ready (for each
kind, alone or not): so whatever ends an attempt or a wait brings one back.  One too many costs a
claim a look.  Where it is the key's rate that they wait for, its pace says so and claims bring one
back in time (`pacing.py`): then ends do not.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from unlost.ledger.sqlite.connection.transaction import Transaction

PARK = "UPDATE task SET parked = ready, ready = NULL WHERE seq = ?"

# Of each kind, the one whose turn it is.
BRING_BACK = """
UPDATE task SET ready = parked, parked = NULL WHERE seq = (
  SELECT seq FROM task WHERE parked = ?1 AND type = ?2 AND key = ?3
    AND NOT EXISTS (SELECT 1 FROM pace WHERE type = ?2 AND key = ?3 AND waits = 1)
  ORDER BY priority DESC, due_at LIMIT 1)
"""

BRING_ALL_BACK = """
UPDATE task SET ready = parked, parked = NULL WHERE seq IN (
  SELECT seq FROM task WHERE parked IN (1, 2) AND type = ? LIMIT ?)
"""

KINDS = (1, 2)


def park(db: apsw.Connection, seqs: Iterable[int]) -> None:
    """Take tasks that are ready out of the way."""
    db.executemany(PARK, [(seq,) for seq in seqs])


def bring_back(db: apsw.Connection, left: Iterable[tuple[str, str | None]]) -> None:
    """For each task with a type and key that runs or is ready no more, bring back another."""
    db.executemany(
        BRING_BACK, [(kind, name, key) for name, key in left if key is not None for kind in KINDS]
    )


def bring_all_back(transaction: Transaction, task_type: str, limit: int) -> int:
    """Bring back tasks of this type, at most `limit`; how many."""
    db = transaction.db
    before = db.total_changes()
    db.execute(BRING_ALL_BACK, (task_type, limit))
    transaction.wake = True
    return db.total_changes() - before
