"""Pauses of types: claims look at them each time, so that they hold for all workers at once."""

from __future__ import annotations

import apsw

from unlost.control import Pause
from unlost.ledger.sqlite.rows import rows
from unlost.ledger.sqlite.transaction import Transaction

PAUSE = """
INSERT INTO pause (type, at, by, reason) VALUES (?, ?, ?, ?) ON CONFLICT (type) DO NOTHING
"""


def pause(transaction: Transaction, task_type: str, by: str | None, reason: str | None) -> None:
    """Let no claim take tasks of this type."""
    transaction.db.execute(PAUSE, (task_type, transaction.now, by, reason))


def resume(transaction: Transaction, task_type: str) -> None:
    """Let claims take them again."""
    transaction.db.execute("DELETE FROM pause WHERE type = ?", (task_type,))
    transaction.wake = True


def pauses(db: apsw.Connection) -> list[Pause]:
    """What is paused, by type."""
    return [Pause(*row) for row in rows(db, "SELECT type, at, by, reason FROM pause ORDER BY type")]


def paused(db: apsw.Connection) -> frozenset[str]:
    """The types that are paused."""
    return frozenset(row[0] for row in rows(db, "SELECT type FROM pause"))
