"""Redriving many dead letters, in runs that end."""

from __future__ import annotations

import apsw
import msgspec

from unlost.ledger.sqlite.connection.rows import first, rows
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.tasks.acts import Who, revive
from unlost.ledger.values import RUN_PAUSE, Selection
from unlost.task import Micros

RUN = "SELECT began, next_slot FROM redrive_run WHERE selectors = ?"


KEEP_RUN = """
INSERT INTO redrive_run (selectors, began, next_slot, last_call) VALUES (?, ?, ?, ?)
ON CONFLICT (selectors) DO UPDATE SET next_slot = excluded.next_slot, last_call = excluded.last_call
"""


def redrive_many(transaction: Transaction, selection: Selection, who: Who) -> tuple[int, bool]:
    """Redrive what is selected, oldest death first, and say whether the run has more."""
    db, now = transaction.db, transaction.now
    db.execute("DELETE FROM redrive_run WHERE last_call < ?", (now - RUN_PAUSE,))
    selectors = selection.run
    began, slot = first(db, RUN, (selectors,)) or (now, now)
    slot = max(slot, now) if selection.interval else now
    found = _select(db, selection, began)
    for seq in found[: selection.limit]:
        revive(transaction, seq, slot, who)
        slot += selection.interval
    if len(found) > selection.limit:
        db.execute(KEEP_RUN, (selectors, began, slot, now))
        return selection.limit, True
    db.execute("DELETE FROM redrive_run WHERE selectors = ?", (selectors,))
    return len(found), False


def _select(db: apsw.Connection, selection: Selection, began: Micros) -> list[int]:
    sql = "SELECT dead.seq FROM dead JOIN task USING (seq) WHERE dead.died_at <= ?"
    values: list[str | int] = [began]
    if selection.task_ids is not None:
        sql += " AND task.id IN (SELECT value FROM json_each(?))"
        values.append(msgspec.json.encode(selection.task_ids).decode())
    if selection.fingerprint is not None:
        sql += " AND dead.fingerprint = ?"
        values.append(selection.fingerprint)
    if selection.type is not None:
        sql += " AND task.type = ?"
        values.append(selection.type)
    if selection.types is not None:
        sql += " AND task.type IN (SELECT value FROM json_each(?))"
        values.append(msgspec.json.encode(selection.types).decode())
    sql += " ORDER BY dead.died_at, dead.seq LIMIT ?"
    return [row[0] for row in rows(db, sql, (*values, selection.limit + 1))]
