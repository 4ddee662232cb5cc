"""Tasks as copies: read in one snapshot, and kept as another ledger kept them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apsw

from unlost.effects import taken_along
from unlost.ledger.deaths import dead_letter
from unlost.ledger.sqlite.attempts.claiming import PULL
from unlost.ledger.sqlite.attempts.settling import ATTEMPT, RESULT, attempt_row
from unlost.ledger.sqlite.connection.rows import Row, first, rows, snapshot, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.dead_letters.burying import COUNT_UP, DEAD, REPORT
from unlost.ledger.sqlite.steps import declaring, forgetting, recording
from unlost.ledger.sqlite.tasks.reading import COLUMNS, NUMBER_OF_COLUMNS, OPEN, WAITING, record
from unlost.ledger.sqlite.tasks.submitting import FOLLOW_UP, PAYLOAD, follow_up_rows
from unlost.ledger.values import EVERYTHING, PULLED, Copy, Death, Verdict
from unlost.ledger.weight import copy_weight, within
from unlost.policy import Limits
from unlost.task import FINAL, Act, Micros, Record, State

COPIES = f"""
SELECT {COLUMNS}, own_retries, own_timeout, spent, alone, token, worker, deadline,
       (SELECT died_at FROM dead WHERE dead.seq = task.seq), effects,
       (SELECT number FROM brought WHERE brought.seq = task.seq)
FROM task WHERE seq > ? ORDER BY seq LIMIT ?
"""

UNREPORTED = "SELECT died_at, number, attempt_count FROM report WHERE seq = ? ORDER BY id"


def copies(db: apsw.Connection, after: int, limit: int, room: int) -> list[tuple[int, Copy]]:
    """Tasks with all that is kept of them, in order of submission, in one snapshot."""
    with snapshot(db):
        found = rows(db, COPIES, (after, limit))
        secret = recording.secret(db)
        copies = ((row[0], _copy(db, row, secret)) for row in found)
        return list(within(room, copies, copy_weight))


def _copy(db: apsw.Connection, row: Row, secret: bytes) -> Copy:
    *marks, effects, brought = row[NUMBER_OF_COLUMNS:]
    retries, timeout, spent, alone, token, worker, deadline, died_at = marks
    task = record(db, row, EVERYTHING)
    own, over = forgetting.read(effects), task.state in FINAL
    return Copy(
        task,
        Limits(retries, timeout),
        spent,
        bool(alone),
        token,
        worker,
        None if token is None else deadline,
        died_at,
        tuple(Death(*death) for death in rows(db, UNREPORTED, (row[0],))),
        taken_along(own, secret, task.task_id, task.submitted_at, over=over),
        recording.of(db, row[0]),
        tuple(declaring.between(db, row[0], row[0]).get(row[0], ())),
        brought,
    )


STORED = "SELECT digest FROM task WHERE id = ?"

LAST = "SELECT coalesce(max(seq), 0) FROM task"

INSERT = """
INSERT INTO task (seq, id, type, state, priority, digest, submitted_at, updated_at, due_at,
                  own_retries, own_timeout, max_retries, timeout, number, spent, attempt_count,
                  redrive_count, error_number, ready, waiting, open, worker, token, started_at,
                  deadline, alone, purged_at, key, carried, effects, excused)
VALUES (
  ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
  ?, ?, ?, ?, ?)
"""

ACT = """
INSERT INTO act (seq, at, event, by, reason, api_key, call, redrive)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

CANCELLED = "INSERT OR IGNORE INTO cancelled VALUES (?)"

PURGED = "UPDATE purged SET up_to = ?1 WHERE up_to < ?1"


def restore(transaction: Transaction, copies: Sequence[Copy]) -> list[Verdict]:
    """Keep those that are new, in order."""
    return [_restore(transaction, copy) for copy in copies]


def _restore(transaction: Transaction, copy: Copy) -> Verdict:
    db, task = transaction.db, copy.record
    known = first(db, STORED, (task.task_id,))
    if known is not None:
        return Verdict.REPLAYED if known[0] == task.digest else Verdict.CONFLICT
    seq = 1 + value(db, LAST)
    db.execute(INSERT, _row(seq, copy, transaction.now))
    for sql, text in ((PAYLOAD, task.payload), (RESULT, task.result)):
        if text is not None:
            db.execute(sql, (seq, text))
    if copy.token is not None and copy.token.startswith(PULLED):
        db.execute(PULL, (copy.token, seq, copy.deadline))
    db.executemany(FOLLOW_UP, follow_up_rows([(seq, task.carried)]))
    db.executemany(ATTEMPT, list(_attempt_rows(seq, task)))
    db.executemany(ACT, [(seq, *_act(act)) for act in task.history])
    if task.state is State.CANCELLED:  # its history may not tell
        db.execute(CANCELLED, (seq,))
    if task.purged_at is not None:
        db.execute(PURGED, (seq,))
    recording.keep(db, seq, copy.steps)
    declaring.keep(db, seq, copy.declared, copy.brought)
    _keep_deaths(db, seq, copy)
    transaction.accepted(1)
    transaction.moved(State.QUEUED, task.state)
    if task.due_at is not None:
        transaction.due(task.due_at, task.type)
    transaction.tell(task.task_id, task.type, task.state, len(task.attempts))
    return Verdict.ACCEPTED


def _row(seq: int, copy: Copy, now: Micros) -> Row:
    task, own = copy.record, copy.own
    kind, due = 1 + copy.alone, task.due_at or 0
    waits, is_due = task.state in WAITING, due <= now
    failed = [attempt.number for attempt in task.attempts if attempt.error is not None]
    last = task.attempts[-1] if task.attempts else None
    return (
        seq, task.task_id, task.type, task.state, task.priority, task.digest, task.submitted_at,
        task.updated_at, due, own.max_retries, own.timeout, task.max_retries, task.timeout,
        last.number if last else 0, copy.spent, task.attempt_count, task.redrive_count,
        failed[-1] if failed else None, kind if waits and is_due else None,
        kind if waits and not is_due else None, 1 if task.state in OPEN else None, copy.worker,
        copy.token, last.started_at if last else None, copy.deadline, int(copy.alone),
        task.purged_at, task.key, task.carried, forgetting.written(copy.effects),
        task.excused_count or None,
    )  # fmt: skip


def _attempt_rows(seq: int, task: Record) -> Iterator[Row]:
    """Of those that have ended."""
    for one in task.attempts:
        if one.finished_at is not None and one.outcome is not None:
            times = (one.started_at, one.finished_at)
            yield attempt_row(
                seq, one.number, times, one.outcome, one.error, one.next_attempt_at,
                excused=one.excused,
            )  # fmt: skip


def _act(act: Act) -> Row:
    return act.at, act.event, act.by, act.reason, act.api_key, act.call, act.redrive


def _keep_deaths(db: apsw.Connection, seq: int, copy: Copy) -> None:
    """The dead letter with its group's count, and the deaths still to be reported."""
    error = dead_letter(copy.record)
    if error is not None:
        db.execute(DEAD, (seq, copy.died_at, error.fingerprint, error.type))
        db.execute(COUNT_UP, (error.fingerprint, error.type, error.message))
    for death in copy.unreported:
        db.execute(REPORT, (seq, death.died_at, death.number, death.attempt_count, None))
