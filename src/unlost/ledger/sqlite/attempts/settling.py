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
SELECT task.id, token, seq, task.type, number, spent, attempt_count, started_at, edit, alone,
  task.key, excused
FROM json_each(?) AS wanted CROSS JOIN task ON task.id = wanted.value
"""

# What most attempts come to, by two statements for all of them.
SUCCEED = """
UPDATE task SET state = 'succeeded', updated_at = ?, worker = NULL, token = NULL, open = NULL,
  alone = 0 WHERE seq IN (SELECT value FROM json_each(?))
"""

SUCCEEDED = """
INSERT INTO attempt (key, started_at, finished_at, outcome)
SELECT seq << ? | number, started_at, max(started_at, ?), 'succeeded'
FROM json_each(?) AS wanted CROSS JOIN task ON task.seq = wanted.value
"""

DIE = """
UPDATE task SET state = 'dead', updated_at = ?, worker = NULL, token = NULL, open = NULL, alone = ?,
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
    wanted = msgspec.json.encode([done.task_id for done in settlements]).decode()
    running = {row[0]: _Running(*row) for row in rows(db, RUNNING, (wanted,))}
    asked = [(_taken(running, done), done) for done in settlements]
    ends = _decided(db, [done for task, done in asked if task is not None])
    held = list(zip((task for task, _ in asked if task is not None), ends, strict=True))
    held = _excused(transaction, held)
    ends = [done for _, done in held]
    forget_pulled(db, [done.token for done in ends])
    others = [one for one in held if one[1].event is not Event.SUCCEED]
    if len(others) < len(held):
        _succeed(transaction, [task for task, done in held if done.event is Event.SUCCEED])
    if others:
        _settle_others(transaction, others)
    results = [(task.seq, done.result) for task, done in held if done.result is not None]
    insert(db, RESULT, results)
    if transaction.watched:
        for task, done in held:
            transaction.tell(done.task_id, task.type, AFTER[done.event], task.number)
    bring_back(db, [(task.type, task.key) for task, _ in held if task.key is not None])
    if new := follow_ups.submitted(ends):
        accepted = follow_ups.accepted(new, submit(transaction, new))
        numbers = follow_ups.brought(ends, accepted)
        brought = [(task.seq, n) for (task, _), n in zip(held, numbers, strict=True) if n]
        db.executemany(KEEP_BROUGHT, brought)
    return follow_ups.answers(((task is not None, done) for task, done in asked), ends)


def _taken(running: dict[str, _Running], done: Settlement) -> _Running | None:
    """The running task that this ends, which nothing else ends from now on."""
    task = running.get(done.task_id)
    return running.pop(done.task_id) if task is not None and task.token == done.token else None


def _succeed(transaction: Transaction, tasks: Sequence[_Running]) -> None:
    """End attempts that succeeded."""
    db, now = transaction.db, transaction.now
    seqs = msgspec.json.encode([task.seq for task in tasks]).decode()
    db.execute(SUCCEEDED, (ATTEMPT_BITS, now, seqs))
    db.execute(SUCCEED, (now, seqs))
    transaction.moved(State.RUNNING, State.SUCCEEDED, len(tasks))


def _settle_others(transaction: Transaction, held: Sequence[_Held]) -> None:
    """End attempts that did not succeed."""
    db = transaction.db
    insert(db, ATTEMPT, [_attempt_row(transaction.now, *one) for one in held])
    dead = [one for one in held if one[1].event is Event.DIE]
    again = [one for one in held if one[1].event is not Event.DIE]
    db.executemany(DIE, [_dead_row(transaction, *one) for one in dead])
    db.executemany(AGAIN, [_again_row(transaction, *one) for one in again])
    for task, done in dead:
        bury(transaction, task.seq, task.number, task.attempt_count, task.edit, done.error)
    for _, done in held:
        transaction.moved(State.RUNNING, AFTER[done.event])


def forget_pulled(db: apsw.Connection, tokens: Sequence[str]) -> None:
    """Of attempts that end, those that were claimed by the API."""
    db.executemany(FORGET_PULLED, [(token,) for token in tokens if token.startswith(PULLED)])


def _decided(db: apsw.Connection, ends: list[Settlement]) -> list[Settlement]:
    """How attempts that run end, now that it is known which of their follow-ups are there."""
    if not (ids := follow_ups.wanted(ends)):
        return ends
    known: dict[str, bytes] = dict(rows(db, KNOWN, (msgspec.json.encode(ids).decode(),)))
    return follow_ups.decided(ends, known)


class _Running(msgspec.Struct, frozen=True, gc=False):
    """What settling needs of a running task; the columns of RUNNING."""

    id: str
    token: str | None
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
    endings = (
        (task.type, ending(task.started_at, done.outcome, done.error)) for task, done in held
    )
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


def _dead_row(transaction: Transaction, task: _Running, done: Settlement) -> Row:
    lonely = int(done.outcome is Outcome.LOST)
    return transaction.now, lonely, _error_number(task, done), task.seq


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
