"""What a person does to one task: cancel, redrive, discard."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import msgspec

from unlost.effects import Forget
from unlost.ledger.calls import Who, compare
from unlost.ledger.protocol import Refused, StepsStand, UnknownTask
from unlost.ledger.sqlite.attempts.settling import ATTEMPT, attempt_row, forget_pulled
from unlost.ledger.sqlite.connection.rows import first, rows, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.controls.controlling import ended
from unlost.ledger.sqlite.controls.parking import bring_back
from unlost.ledger.sqlite.dead_letters.burying import lift, lift_many
from unlost.ledger.sqlite.steps import forgetting
from unlost.task import TRANSITIONS, Event, Micros, Outcome, State


class _Found(msgspec.Struct, frozen=True):
    seq: int
    type: str
    state: State
    number: int
    started_at: Micros | None
    key: str | None
    token: str | None


FIND = "SELECT seq, type, state, number, started_at, key, token FROM task WHERE id = ?"

CALLS = "SELECT call FROM act WHERE seq = ?"


def _find(
    db: apsw.Connection, task_id: str, event: Event, call: str | None = None
) -> tuple[_Found, State]:
    """The task, and the state it will be in.

    Raises UnknownTask, Repeated, AnotherCall, Refused.
    """
    row = first(db, FIND, (task_id,))
    if row is None:
        raise UnknownTask(task_id)
    found = _Found(row[0], row[1], State(row[2]), *row[3:])
    if call is not None:
        compare(call, (made for (made,) in rows(db, CALLS, (found.seq,))))
    after = TRANSITIONS.get((found.state, event))
    if after is None:
        raise Refused(found.state)
    return found, after


REMEMBER = """
INSERT INTO act (seq, at, event, by, reason, payload, api_key, call, redrive)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def _remember(
    transaction: Transaction, seq: int, event: Event, who: Who, payload: str | None = None
) -> int:
    names = (who.by, who.reason, payload, who.api_key, who.call, who.redrive)
    transaction.db.execute(REMEMBER, (seq, transaction.now, event, *names))
    return transaction.db.last_insert_rowid()


CANCEL = """
UPDATE task SET state = 'cancelled', updated_at = ?, worker = NULL, token = NULL, ready = NULL,
  waiting = NULL, parked = NULL, open = NULL, alone = iif(worker IS NULL, alone, 0) WHERE seq = ?
"""


def cancel(transaction: Transaction, task_id: str, who: Who) -> None:
    """Make a task cancelled; a running attempt ends with it."""
    db, now = transaction.db, transaction.now
    found, after = _find(db, task_id, Event.CANCEL)
    if found.state is State.RUNNING and found.started_at is not None:
        times = (found.started_at, now)
        row = attempt_row(found.seq, found.number, times, Outcome.CANCELLED)
        db.execute(ATTEMPT, row)
        forget_pulled(db, [found.token or ""])
        ended(transaction, [(found.type, None)])
    db.execute(CANCEL, (now, found.seq))
    bring_back(db, [(found.type, found.key)])
    _remember(transaction, found.seq, Event.CANCEL, who)
    transaction.moved(found.state, after)
    transaction.tell(task_id, found.type, after, found.number)


REDRIVE = """
UPDATE task SET state = 'queued', updated_at = ?, due_at = ?, ready = ?, waiting = ?, open = 1,
  spent = 0, excused = NULL, redrive_count = redrive_count + 1, edit = coalesce(?, edit)
WHERE seq = ? RETURNING id, type, number
"""


def redrive(
    transaction: Transaction, task_id: str, who: Who, payload: str | None, forget: Forget | None
) -> None:
    """Give a dead letter a fresh set of attempts, due now.  Raises StepsStand, TooManyForgotten."""
    found, _ = _find(transaction.db, task_id, Event.REDRIVE, who.call)
    if payload is not None and forget is None and forgetting.any_stands(transaction.db, found.seq):
        raise StepsStand(task_id)
    forgetting.forget(transaction, [found.seq], forget or ())
    revive(transaction, found.seq, transaction.now, who, payload)


def revive(
    transaction: Transaction, seq: int, at: Micros, who: Who, payload: str | None = None
) -> None:
    """Open a dead letter again, due at `at`; with `payload`, its attempts get that from now on."""
    db, now = transaction.db, transaction.now
    act = _remember(transaction, seq, Event.REDRIVE, who, payload)
    edit = None if payload is None else act
    alone = value(db, "SELECT alone FROM task WHERE seq = ?", (seq,))
    ready, waiting = (1 + alone, None) if at <= now else (None, 1 + alone)
    task_id, task_type, number = rows(db, REDRIVE, (now, at, ready, waiting, edit, seq))[0]
    lift(transaction, seq)
    transaction.moved(State.DEAD, State.QUEUED)
    transaction.due(at, task_type)
    transaction.tell(task_id, task_type, State.QUEUED, number)


REMEMBER_MANY = """
INSERT INTO act (seq, at, event, by, reason, api_key, call, redrive)
SELECT one.value ->> 0, ?, ?, ?, ?, ?, ?, ? FROM json_each(?) AS one
"""

REDRIVE_MANY = """
UPDATE task SET state = 'queued', updated_at = ?1, due_at = one.due_at, open = 1, spent = 0,
  excused = NULL, ready = CASE WHEN one.due_at <= ?1 THEN 1 + alone END,
  waiting = CASE WHEN one.due_at > ?1 THEN 1 + alone END, redrive_count = redrive_count + 1
FROM (SELECT value ->> 0 AS seq, value ->> 1 AS due_at FROM json_each(?2)) AS one
WHERE task.seq = one.seq RETURNING id, type, number
"""


def revive_many(transaction: Transaction, dues: Sequence[tuple[int, Micros]], who: Who) -> None:
    """Open dead letters again, each due at its time: as `revive`, in a few statements for all."""
    if not dues:
        return
    db, now = transaction.db, transaction.now
    items = msgspec.json.encode(dues).decode()
    names = (who.by, who.reason, who.api_key, who.call, who.redrive)
    db.execute(REMEMBER_MANY, (now, Event.REDRIVE, *names, items))
    revived = rows(db, REDRIVE_MANY, (now, items))
    lift_many(transaction, [seq for seq, _ in dues])
    transaction.moved(State.DEAD, State.QUEUED, len(revived))
    soonest = min(due_at for _, due_at in dues)
    for task_id, task_type, number in revived:
        transaction.due(soonest, task_type)
        transaction.tell(task_id, task_type, State.QUEUED, number)


def discard(transaction: Transaction, task_id: str, who: Who) -> None:
    """Make a dead letter cancelled; its history stays."""
    found, after = _find(transaction.db, task_id, Event.DISCARD, who.call)
    transaction.db.execute(
        "UPDATE task SET state = 'cancelled', updated_at = ? WHERE seq = ?",
        (transaction.now, found.seq),
    )
    lift(transaction, found.seq)
    _remember(transaction, found.seq, Event.DISCARD, who)
    transaction.moved(found.state, after)
    transaction.tell(task_id, found.type, after, found.number)
