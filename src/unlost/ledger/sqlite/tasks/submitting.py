"""Submitting: the step that stores new tasks and tells replays from conflicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

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

NEWEST = "SELECT seq, submitted_at FROM task ORDER BY seq DESC LIMIT 1"

STORED = "SELECT seq, digest, submitted_at, due_at FROM task WHERE id = ?"


def submit(transaction: Transaction, submissions: Sequence[Submission]) -> list[Submitted]:
    """Store what is new, in order.

    `submitted_at` never goes back, so `seq` orders by it; what is due is due by the clock.
    """
    db = transaction.db
    last, last_at = first(db, NEWEST) or (0, 0)
    now = transaction.now
    at = max(now, last_at)
    before = db.total_changes()
    db.executemany(INSERT, _rows(submissions, last + 1, now, at))
    if db.total_changes() - before == len(submissions):
        answers = [
            Submitted(Verdict.ACCEPTED, at, _due(submission, now)) for submission in submissions
        ]
    else:
        answers = [
            _compare(first(db, STORED, (submission.task_id,)), submission, seq)
            for seq, submission in enumerate(submissions, last + 1)
        ]
    new = [
        (seq, submission)
        for seq, (submission, answer) in enumerate(zip(submissions, answers, strict=True), last + 1)
        if answer.verdict is Verdict.ACCEPTED
    ]
    db.executemany(PAYLOAD, ((seq, submission.payload) for seq, submission in new))
    transaction.accepted(len(new))
    for answer in answers:
        if answer.verdict is Verdict.ACCEPTED:
            transaction.due(answer.due_at)
    if transaction.watched:
        for _, submission in new:
            transaction.tell(submission.task_id, submission.type, State.QUEUED, 0)
    return answers


def _due(submission: Submission, now: Micros) -> Micros:
    return now + submission.delay if submission.run_at is None else submission.run_at


def _rows(
    submissions: Sequence[Submission], seq: int, now: Micros, at: Micros
) -> Iterator[tuple[Any, ...]]:
    for number, item in enumerate(submissions, seq):
        due = _due(item, now)
        ready, waiting = (1, None) if due <= now else (None, 1)
        yield (
            number, item.task_id, item.type, item.priority, item.digest, at, at, due,
            item.max_retries, item.timeout, item.max_retries, item.timeout, ready, waiting,
            item.key, item.carried,
        )  # fmt: skip


def _compare(stored: Row | None, submission: Submission, seq: int) -> Submitted:
    stored_seq, digest, submitted_at, due_at = stored or (None, b"", 0, 0)
    if stored_seq == seq:
        return Submitted(Verdict.ACCEPTED, submitted_at, due_at)
    verdict = Verdict.REPLAYED if digest == submission.digest else Verdict.CONFLICT
    return Submitted(verdict)
