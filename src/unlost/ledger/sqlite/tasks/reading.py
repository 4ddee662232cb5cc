"""Reading tasks: one, and the entries for audit and export."""

from __future__ import annotations

from collections.abc import Collection

import apsw

from unlost.effects import Effect, Effects, Step
from unlost.ledger.sqlite.connection.rows import Row, first, rows, snapshot, value
from unlost.ledger.sqlite.schema import ATTEMPT_BITS
from unlost.ledger.sqlite.steps import declaring, forgetting, recording
from unlost.ledger.values import Entry, Part
from unlost.ledger.weight import entry_weight, within
from unlost.task import Act, Attempt, Event, Outcome, Record, State, TaskError

COLUMNS = """
seq, id, type, state, priority, digest, submitted_at, updated_at, due_at, max_retries, timeout,
attempt_count, redrive_count, purged_at, error_number, edit, number, started_at, key, carried,
excused
"""

NUMBER_OF_COLUMNS = 21

OPEN = frozenset({State.QUEUED, State.RUNNING, State.RETRYING})
WAITING = frozenset({State.QUEUED, State.RETRYING})

ATTEMPTS = f"""
SELECT key & {(1 << ATTEMPT_BITS) - 1}, started_at, finished_at, outcome, next_attempt_at,
       error_type, message, traceback, fingerprint, excused
FROM attempt WHERE key BETWEEN ? AND ? ORDER BY key
"""

ERROR = "SELECT error_type, message, NULL, fingerprint FROM attempt WHERE key = ?"


def get(db: apsw.Connection, task_id: str, parts: Collection[Part]) -> Record | None:
    """One task as it is now, in one snapshot."""
    with snapshot(db):
        row = first(db, f"SELECT {COLUMNS} FROM task WHERE id = ?", (task_id,))
        return None if row is None else record(db, row, parts)


def record(db: apsw.Connection, row: Row, parts: Collection[Part]) -> Record:
    """The record of a row of COLUMNS, with the parts asked for."""
    seq, task_id, task_type, state_name, *_ = row
    state, purged_at, error_number, edit = State(state_name), row[13], row[14], row[15]
    attempts: tuple[Attempt, ...] = ()
    error = None
    if Part.ATTEMPTS in parts:
        running = (row[16], row[17]) if state is State.RUNNING else None
        attempts = _attempts(db, seq, running)
        errors = [attempt.error for attempt in attempts if attempt.error is not None]
        error = errors[-1] if errors else None
    elif error_number is not None:
        why = first(db, ERROR, ((seq << ATTEMPT_BITS) | error_number,))
        error = TaskError(*why) if why else None
    return Record(
        task_id, task_type, state, row[4], row[5], row[6], row[7],
        row[8] if state in WAITING else None, row[9], row[10], row[11], row[12],
        error, purged_at,
        _payload(db, seq, edit) if Part.PAYLOAD in parts else None,
        _result(db, seq) if Part.RESULT in parts and state is State.SUCCEEDED else None,
        attempts,
        _history(db, seq) if Part.HISTORY in parts else (), row[18], row[19], row[20] or 0,
    )  # fmt: skip


def _payload(db: apsw.Connection, seq: int, edit: int | None) -> str | None:
    if edit is not None:
        text = value(db, "SELECT payload FROM act WHERE id = ?", (edit,))
    else:
        text = value(db, "SELECT text FROM payload WHERE seq = ?", (seq,))
    return None if text is None else str(text)


def _result(db: apsw.Connection, seq: int) -> str | None:
    text = value(db, "SELECT text FROM result WHERE seq = ?", (seq,))
    return None if text is None else str(text)


def _attempts(
    db: apsw.Connection, seq: int, running: tuple[int, int] | None
) -> tuple[Attempt, ...]:
    bounds = (seq << ATTEMPT_BITS, ((seq + 1) << ATTEMPT_BITS) - 1)
    past = [
        Attempt(
            number,
            started,
            finished,
            Outcome(outcome),
            TaskError(*why) if why[0] else None,
            again,
            bool(excused),
        )
        for number, started, finished, outcome, again, *why, excused in rows(db, ATTEMPTS, bounds)
    ]
    return tuple(past) if running is None else (*past, Attempt(*running))


HISTORY = "SELECT at, event, by, reason, api_key, call, redrive FROM act WHERE seq = ? ORDER BY id"


def _history(db: apsw.Connection, seq: int) -> tuple[Act, ...]:
    acts = rows(db, HISTORY, (seq,))
    return tuple(Act(at, Event(event), *who) for at, event, *who in acts)


ENTRIES = f"""
SELECT {COLUMNS}, token, worker, spent,
       (SELECT fingerprint FROM dead WHERE dead.seq = task.seq),
       (ready IS NOT NULL) + (waiting IS NOT NULL) + (parked IS NOT NULL), effects,
       (SELECT number FROM brought WHERE brought.seq = task.seq)
FROM task WHERE seq > ? ORDER BY seq LIMIT ?
"""

TOLD = frozenset({Part.ATTEMPTS, Part.HISTORY})


def entries(db: apsw.Connection, after: int, limit: int, room: int) -> list[Entry]:
    """Records with the ledger's own marks, in order of submission, in one snapshot."""
    with snapshot(db):
        found = rows(db, ENTRIES, (after, limit))
        steps = recording.between(db, found[0][0], found[-1][0]) if found else {}
        declared = declaring.between(db, found[0][0], found[-1][0]) if found else {}
        entries = (
            _entry(db, row, tuple(steps.get(row[0], ())), tuple(declared.get(row[0], ())))
            for row in found
        )
        return list(within(room, entries, entry_weight))


def _entry(
    db: apsw.Connection, row: Row, steps: tuple[Step, ...], declared: tuple[Effect, ...]
) -> Entry:
    token, worker, spent, dead_letter, places, effects, brought = row[NUMBER_OF_COLUMNS:]
    return Entry(
        row[0], record(db, row, TOLD), token, worker, spent, dead_letter, places == 1,
        (forgetting.read(effects) or Effects()).forgotten, steps, declared, brought,
    )  # fmt: skip
