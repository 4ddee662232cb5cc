"""Settling: the step that ends attempts, each only while its token is the running one's."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import msgspec

from unlost.ledger import follow_ups
from unlost.ledger.sqlite.connection.inserting import insert
from unlost.ledger.sqlite.connection.rows import Row, rows
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.controls.controlling import ended
from unlost.ledger.sqlite.controls.parking import bring_back
from unlost.ledger.sqlite.dead_letters.burying import bury
from unlost.ledger.sqlite.schema import ATTEMPT_BITS
from unlost.ledger.sqlite.steps.declaring import KEEP_BROUGHT
from unlost.ledger.sqlite.tasks.submitting import submit
from unlost.ledger.values import PULLED, Settled, Settlement
from unlost.limits.breaker import ending
from unlost.task import TRANSITIONS, Event, Micros, Outcome, State, TaskError

RUNNING = """
SELECT token, seq, task.type, number, spent, attempt_count, started_at, edit, alone, task.key,
  excused
FROM json_each(?) AS wanted
CROSS JOIN task ON task.id = wanted.value ->> 0 AND task.token = wanted.value ->> 1
"""

FINISH = """
UPDATE task SET state = ?, updated_at = ?, worker = NULL, token = NULL, open = NULL, alone = ?,
  error_number = coalesce(?, error_number) WHERE seq = ?
"""

AGAIN = """
UPDATE task SET state = ?, updated_at = ?, worker = NULL, token = NULL, due_at = ?,
  ready = ?, waiting = ?, alone = ?, spent = ?, attempt_count = ?, excused = ?,
  error_number = coalesce(?, error_number) WHERE seq = ?
"""

ATTEMPT = """
INSERT INTO attempt (key, started_at, finished_at, outcome, next_attempt_at, error_type, message,
                     traceback, fingerprint, excused) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


KNOWN = """
SELECT task.id, task.digest FROM json_each(?) AS wanted
CROSS JOIN task ON task.id = wanted.value
"""

FORGET_PULLED = "DELETE FROM pulled WHERE token = ?"

RESULT = "INSERT INTO result (seq, text) VALUES (?, ?)"


def settle(transaction: Transaction, settlements: Sequence[Settlement]) -> list[Settled]:
    """End attempts whose token still runs; what a stale token brings changes nothing."""
    db = transaction.db
    wanted = [(done.task_id, done.token) for done in settlements]
    found = rows(db, RUNNING, (msgspec.json.encode(wanted).decode(),))
    running = {token: _Running(*row) for token, *row in found}
    asked = [(running.pop(done.token, None), done) for done in settlements]
    ends = _decided(db, [done for task, done in asked if task is not None])
    held = list(zip((task for task, _ in asked if task is not None), ends, strict=True))
    held = _excused(transaction, held)
    ends = [done for _, done in held]
    forget_pulled(db, [done.token for done in ends])
    insert(db, ATTEMPT, [_attempt_row(transaction.now, *one) for one in held])
    for sql, row, events in (
        (FINISH, _finish_row, (Event.SUCCEED, Event.DIE)),
        (AGAIN, _again_row, (Event.RETRY, Event.RELEASE)),
    ):
        some = [one for one in held if one[1].event in events]
        db.executemany(sql, [row(transaction, *one) for one in some])
    results = [(task.seq, done.result) for task, done in held if done.result is not None]
    insert(db, RESULT, results)
    for task, done in held:
        if done.event is Event.DIE:
            bury(transaction, task.seq, task.number, task.attempt_count, task.edit, done.error)
        transaction.moved(State.RUNNING, AFTER[done.event])
        transaction.tell(done.task_id, task.type, AFTER[done.event], task.number)
    bring_back(db, [(task.type, task.key) for task, _ in held])
    if new := follow_ups.submitted(ends):
        accepted = follow_ups.accepted(new, submit(transaction, new))
        numbers = follow_ups.brought(ends, accepted)
        brought = [(task.seq, n) for (task, _), n in zip(held, numbers, strict=True) if n]
        db.executemany(KEEP_BROUGHT, brought)
    return follow_ups.answers(((task is not None, done) for task, done in asked), ends)


def forget_pulled(db: apsw.Connection, tokens: Sequence[str]) -> None:
    """Of attempts that end, those that were claimed by the API."""
    db.executemany(FORGET_PULLED, [(token,) for token in tokens if token.startswith(PULLED)])


def _decided(db: apsw.Connection, ends: list[Settlement]) -> list[Settlement]:
    """How attempts that run end, now that it is known which of their follow-ups are there."""
    if not (ids := follow_ups.wanted(ends)):
        return ends
    known: dict[str, bytes] = dict(rows(db, KNOWN, (msgspec.json.encode(ids).decode(),)))
    return follow_ups.decided(ends, known)


class _Running(msgspec.Struct, frozen=True):
    """What settling needs of a running task; the columns of RUNNING."""

    seq: int
    type: str
    number: int
    spent: int
    attempt_count: int
    started_at: Micros
    edit: int | None
    alone: int
    key: str | None
    excused: int | None


_Held = tuple[_Running, Settlement]


def _excused(transaction: Transaction, held: list[_Held]) -> list[_Held]:
    """The same, once breakers know of them and have excused what they do."""
    endings = [
        (task.type, ending(task.started_at, done.outcome, done.error)) for task, done in held
    ]
    places = ended(transaction, endings)
    for place in places:
        task, done = held[place]
        held[place] = task, done.by_breaker
    return held


AFTER = {event: after for (state, event), after in TRANSITIONS.items() if state is State.RUNNING}


def _due_again(now: Micros, task: _Running, done: Settlement) -> Micros:
    """When it is due again: a retry waits from its attempt's end, which is never before its
    start."""
    return max(now, task.started_at) + done.wait


def _attempt_row(now: Micros, task: _Running, done: Settlement) -> Row:
    again = _due_again(now, task, done) if done.event is Event.RETRY else None
    times = (task.started_at, now)
    return attempt_row(
        task.seq, task.number, times, done.outcome, done.error, again, excused=done.excused
    )


def _error_number(task: _Running, done: Settlement) -> int | None:
    return None if done.error is None else task.number


def _finish_row(transaction: Transaction, task: _Running, done: Settlement) -> Row:
    lonely = int(done.outcome is Outcome.LOST)
    return AFTER[done.event], transaction.now, lonely, _error_number(task, done), task.seq


def _again_row(transaction: Transaction, task: _Running, done: Settlement) -> Row:
    now, due = transaction.now, _due_again(transaction.now, task, done)
    # A release costs nothing and changes nothing.
    lonely = task.alone if done.event is Event.RELEASE else int(done.outcome is Outcome.LOST)
    uncount = int(done.event is Event.RELEASE)
    excused = (task.excused or 0) + 1 if done.excused else task.excused
    ready, waiting = (1 + lonely, None) if due <= now else (None, 1 + lonely)
    transaction.due(due, task.type)
    return (
        AFTER[done.event], now, due, ready, waiting, lonely, task.spent - (uncount or done.excused),
        task.attempt_count - uncount, excused, _error_number(task, done), task.seq,
    )  # fmt: skip


def attempt_row(
    seq: int,
    number: int,
    times: tuple[Micros, Micros],
    outcome: Outcome,
    error: TaskError | None = None,
    next_at: Micros | None = None,
    *,
    excused: bool = False,
) -> Row:
    """How an attempt ended, as a row for ATTEMPT; `times` are its start and now."""
    why = (error.type, error.message, error.traceback, error.fingerprint) if error else (None,) * 4
    key = (seq << ATTEMPT_BITS) | number
    return (key, times[0], max(times), outcome, next_at, *why, 1 if excused else None)
