"""What people do to tasks (cancel, redrive, discard), and what age does (purge)."""

from __future__ import annotations

import hashlib

import apsw
import msgspec

from unlost.ledger.protocol import Refused, UnknownTask
from unlost.ledger.sqlite.attempts.settling import ATTEMPT, attempt_row
from unlost.ledger.sqlite.connection.rows import first, rows, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.controls.controlling import ended
from unlost.ledger.sqlite.controls.parking import bring_back
from unlost.ledger.sqlite.dead_letters.burying import lift
from unlost.ledger.sqlite.schema import ATTEMPT_BITS
from unlost.ledger.values import RUN_PAUSE, Selection
from unlost.task import TRANSITIONS, Event, Micros, Outcome, State


class Who(msgspec.Struct, frozen=True):
    """Who did something, and why, as they said it."""

    by: str | None
    reason: str | None


class _Found(msgspec.Struct, frozen=True):
    seq: int
    type: str
    state: State
    number: int
    started_at: Micros | None
    key: str | None


def _find(db: apsw.Connection, task_id: str, event: Event) -> tuple[_Found, State]:
    row = first(
        db, "SELECT seq, type, state, number, started_at, key FROM task WHERE id = ?", (task_id,)
    )
    if row is None:
        raise UnknownTask(task_id)
    found = _Found(row[0], row[1], State(row[2]), *row[3:])
    after = TRANSITIONS.get((found.state, event))
    if after is None:
        raise Refused(found.state)
    return found, after


def _remember(
    transaction: Transaction, seq: int, event: Event, who: Who, payload: str | None = None
) -> int:
    transaction.db.execute(
        "INSERT INTO act (seq, at, event, by, reason, payload) VALUES (?, ?, ?, ?, ?, ?)",
        (seq, transaction.now, event, who.by, who.reason, payload),
    )
    return transaction.db.last_insert_rowid()


CANCEL = """
UPDATE task SET state = 'cancelled', updated_at = ?, worker = NULL, token = NULL, ready = NULL,
  waiting = NULL, parked = NULL, open = NULL WHERE seq = ?
"""


def cancel(transaction: Transaction, task_id: str, who: Who) -> None:
    """Make a task cancelled; a running attempt ends with it."""
    db, now = transaction.db, transaction.now
    found, after = _find(db, task_id, Event.CANCEL)
    if found.state is State.RUNNING and found.started_at is not None:
        times = (found.started_at, now)
        row = attempt_row(found.seq, found.number, times, Outcome.CANCELLED)
        db.execute(ATTEMPT, row)
        ended(transaction, [(found.type, None)])
    db.execute(CANCEL, (now, found.seq))
    bring_back(db, [(found.type, found.key)])
    _remember(transaction, found.seq, Event.CANCEL, who)
    transaction.moved(found.state, after)
    transaction.tell(task_id, found.type, after, found.number)


REDRIVE = """
UPDATE task SET state = 'queued', updated_at = ?, due_at = ?, ready = ?, waiting = ?, open = 1,
  spent = 0, redrive_count = redrive_count + 1, edit = coalesce(?, edit)
WHERE seq = ? RETURNING id, type, number
"""


def redrive(transaction: Transaction, task_id: str, who: Who, payload: str | None) -> None:
    """Give a dead letter a fresh set of attempts, due now."""
    found, _ = _find(transaction.db, task_id, Event.REDRIVE)
    _revive(transaction, found.seq, transaction.now, who, payload)


def _revive(
    transaction: Transaction, seq: int, at: Micros, who: Who, payload: str | None = None
) -> None:
    db, now = transaction.db, transaction.now
    act = _remember(transaction, seq, Event.REDRIVE, who, payload)
    edit = None if payload is None else act
    alone = value(db, "SELECT alone FROM task WHERE seq = ?", (seq,))
    ready, waiting = (1 + alone, None) if at <= now else (None, 1 + alone)
    task_id, task_type, number = next(rows(db, REDRIVE, (now, at, ready, waiting, edit, seq)))
    lift(transaction, seq)
    transaction.moved(State.DEAD, State.QUEUED)
    transaction.due(at)
    transaction.tell(task_id, task_type, State.QUEUED, number)


RUN = "SELECT began, next_slot FROM redrive_run WHERE selectors = ?"

KEEP_RUN = """
INSERT INTO redrive_run (selectors, began, next_slot, last_call) VALUES (?, ?, ?, ?)
ON CONFLICT (selectors) DO UPDATE SET next_slot = excluded.next_slot, last_call = excluded.last_call
"""


def redrive_many(transaction: Transaction, selection: Selection, who: Who) -> tuple[int, bool]:
    """Redrive what is selected, oldest death first, and say whether the run has more."""
    db, now = transaction.db, transaction.now
    db.execute("DELETE FROM redrive_run WHERE last_call < ?", (now - RUN_PAUSE,))
    selectors = _selectors(selection)
    began, slot = first(db, RUN, (selectors,)) or (now, now)
    slot = max(slot, now) if selection.interval else now
    found = _select(db, selection, began)
    for seq in found[: selection.limit]:
        _revive(transaction, seq, slot, who)
        slot += selection.interval
    if len(found) > selection.limit:
        db.execute(KEEP_RUN, (selectors, began, slot, now))
        return selection.limit, True
    db.execute("DELETE FROM redrive_run WHERE selectors = ?", (selectors,))
    return len(found), False


def _selectors(selection: Selection) -> str:
    named = (selection.task_ids, selection.fingerprint, selection.type)
    return hashlib.sha256(msgspec.json.encode(named)).hexdigest()


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
    sql += " ORDER BY dead.died_at, dead.seq LIMIT ?"
    return [row[0] for row in rows(db, sql, (*values, selection.limit + 1))]


def discard(transaction: Transaction, task_id: str, who: Who) -> None:
    """Make a dead letter cancelled; its history stays."""
    found, after = _find(transaction.db, task_id, Event.DISCARD)
    transaction.db.execute(
        "UPDATE task SET state = 'cancelled', updated_at = ? WHERE seq = ?",
        (transaction.now, found.seq),
    )
    lift(transaction, found.seq)
    _remember(transaction, found.seq, Event.DISCARD, who)
    transaction.moved(found.state, after)
    transaction.tell(task_id, found.type, after, found.number)


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
    """Remove payload, result and attempts of finished tasks; record and history stay."""
    db = transaction.db
    db.execute(PURGE_INDEX)
    seqs = [row[0] for row in rows(db, PURGEABLE, (before, limit))]
    for sql in (
        "DELETE FROM payload WHERE seq = ?1",
        "DELETE FROM result WHERE seq = ?1",
        f"DELETE FROM attempt WHERE key BETWEEN ?1 << {ATTEMPT_BITS}"  # noqa: ISC004
        f" AND ((?1 + 1) << {ATTEMPT_BITS}) - 1",
        "UPDATE act SET payload = NULL WHERE seq = ?1",
    ):
        db.executemany(sql, [(seq,) for seq in seqs])
    db.executemany(
        "UPDATE task SET purged_at = ?, error_number = NULL, edit = NULL WHERE seq = ?",
        [(transaction.now, seq) for seq in seqs],
    )
    return len(seqs)
