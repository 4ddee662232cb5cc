"""Submitting: the step that stores new tasks and tells replays from conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, repeat

import apsw

from unlost import carried
from unlost.ledger.sqlite.connection.inserting import insert
from unlost.ledger.sqlite.connection.rows import Row, first
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.values import Submitted, Verdict
from unlost.task import Micros, State, Submission

INSERT = """
INSERT INTO task (seq, id, type, state, priority, digest, submitted_at, updated_at, due_at,
                  own_retries, own_timeout, max_retries, timeout, ready, waiting, key, carried)
VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
"""

PAYLOAD = "INSERT INTO payload (seq, text) VALUES (?, ?)"

FOLLOW_UP = "INSERT INTO follow_up (parent, seq) VALUES (?, ?)"

NEWEST = "SELECT seq, submitted_at FROM task ORDER BY seq DESC LIMIT 1"

STORED = "SELECT seq, digest, submitted_at, due_at FROM task WHERE id = ?"


def submit(transaction: Transaction, submissions: Sequence[Submission]) -> list[Submitted]:
    """Store what is new, in order.

    `submitted_at` never goes back, so `seq` orders by it; what is due is due by the clock.
    """
    db, now = transaction.db, transaction.now
    last, last_at = first(db, NEWEST) or (0, 0)
    at = max(now, last_at)
    dues = [_due(one, now) for one in submissions]
    before = db.total_changes()
    insert(db, INSERT, list(map(_row, submissions, count(last + 1), repeat(now), repeat(at), dues)))
    if db.total_changes() - before == len(submissions):
        answers = [Submitted(Verdict.ACCEPTED, at, due) for due in dues]
        new = list(enumerate(submissions, last + 1))
    else:
        answers = [
            _compare(first(db, STORED, (one.task_id,)), one, seq)
            for seq, one in enumerate(submissions, last + 1)
        ]
        new = [
            (seq, one)
            for (seq, one), answer in zip(enumerate(submissions, last + 1), answers, strict=True)
            if answer.verdict is Verdict.ACCEPTED
        ]
        dues = [answer.due_at for answer in answers if answer.verdict is Verdict.ACCEPTED]
    insert(db, PAYLOAD, [(seq, one.payload) for seq, one in new])
    insert(db, FOLLOW_UP, follow_up_rows([(seq, one.carried) for seq, one in new]))
    transaction.accepted(len(new))
    for (_, one), due in zip(new, dues, strict=True):
        transaction.due(due, one.type)
    if transaction.watched:
        for _, one in new:
            transaction.tell(one.task_id, one.type, State.QUEUED, 0)
    return answers


def compare(db: apsw.Connection, submissions: Sequence[Submission]) -> list[Verdict | None]:
    """What each is whose id is there already; None for one that is new."""
    found = (first(db, STORED, (submission.task_id,)) for submission in submissions)
    return [
        None if stored is None else _again(stored[1], submission)
        for stored, submission in zip(found, submissions, strict=True)
    ]


def follow_up_rows(tasks: Iterable[tuple[int, str | None]]) -> list[Row]:
    """Rows for FOLLOW_UP of those of these tasks, each with what it carries, that have a parent."""
    pairs = ((carried.parent(text), seq) for seq, text in tasks)
    return [(parent, seq) for parent, seq in pairs if parent is not None]


def _due(submission: Submission, now: Micros) -> Micros:
    return now + submission.delay if submission.run_at is None else submission.run_at


def _row(item: Submission, seq: int, now: Micros, at: Micros, due: Micros) -> Row:
    ready, waiting = (1, None) if due <= now else (None, 1)
    return (
        seq, item.task_id, item.type, item.priority, item.digest, at, at, due,
        item.max_retries, item.timeout, item.max_retries, item.timeout, ready, waiting,
        item.key, item.carried,
    )  # fmt: skip


def _compare(stored: Row | None, submission: Submission, seq: int) -> Submitted:
    stored_seq, digest, submitted_at, due_at = stored or (None, b"", 0, 0)
    if stored_seq == seq:
        return Submitted(Verdict.ACCEPTED, submitted_at, due_at)
    return Submitted(_again(digest, submission))


def _again(digest: bytes, submission: Submission) -> Verdict:
    return Verdict.REPLAYED if digest == submission.digest else Verdict.CONFLICT
