"""Attempts: the steps that claim due tasks, settle attempts, and tell who is alive."""

from __future__ import annotations

import heapq
import json
from collections.abc import Collection, Iterator, Mapping, Sequence

import apsw
import msgspec

from unlost.ledger.protocol import LeaseOver
from unlost.ledger.sqlite.deaths import bury
from unlost.ledger.sqlite.pausing import paused
from unlost.ledger.sqlite.rows import Row, first, rows, value
from unlost.ledger.sqlite.schema import ATTEMPT_BITS
from unlost.ledger.sqlite.transaction import Transaction
from unlost.ledger.values import Claim, Claimed, Held, Settlement, Worker
from unlost.policy import Limits
from unlost.task import SECOND, TRANSITIONS, Event, Micros, Outcome, State, TaskError

PROMOTE_AT_ONCE = 1_000

DUE = "SELECT 1 FROM task WHERE waiting = ? AND due_at <= ? LIMIT 1"

PROMOTE = """
UPDATE task SET ready = waiting, waiting = NULL WHERE seq IN (
  SELECT seq FROM task WHERE waiting = ? AND due_at <= ? ORDER BY due_at LIMIT ?)
"""

NEXT_TYPE = "SELECT type FROM task WHERE ready = ? AND type > ? ORDER BY type LIMIT 1"

CANDIDATES = """
SELECT -priority, due_at, seq FROM task WHERE ready = ? AND type = ? AND due_at <= ?
ORDER BY priority DESC, due_at LIMIT ?
"""

CHOSEN = """
SELECT task.seq, task.id, task.type, state, own_retries, own_timeout, number, spent, redrive_count,
       submitted_at, edit, due_at, payload.text
FROM json_each(?) AS wanted CROSS JOIN task ON task.seq = wanted.value JOIN payload USING (seq)
ORDER BY wanted.key
"""

START = """
UPDATE task SET state = 'running', ready = NULL, worker = ?, token = ?, number = ?, spent = ?,
  attempt_count = attempt_count + 1, started_at = ?, updated_at = ?, deadline = ?,
  max_retries = ?, timeout = ?
WHERE seq = ?
"""


def claim(transaction: Transaction, wanted: Claim) -> list[Claimed]:
    """Start up to len(tokens) attempts of the tasks that are due."""
    db, now = transaction.db, transaction.now
    alive = "SELECT 1 FROM worker WHERE id = ? AND lease_until > ?"
    if first(db, alive, (wanted.worker, now)) is None:
        raise LeaseOver(wanted.worker)
    kind = 2 if wanted.alone else 1
    _promote(db, kind, now)
    chosen = _choose(db, kind, wanted, now)
    if not chosen:
        return []
    found = rows(db, CHOSEN, (json.dumps(chosen),))
    claimed = []
    updates = []
    for token, row in zip(wanted.tokens, found, strict=False):
        attempt = _start(db, wanted, token, row, now)
        claimed.append(attempt)
        updates.append(
            (wanted.worker, token, attempt.number, attempt.spent, now, now, attempt.deadline,
             attempt.max_retries, attempt.timeout, row[0])
        )  # fmt: skip
        transaction.moved(State(row[3]), State.RUNNING)
        transaction.tell(attempt.task_id, attempt.type, State.RUNNING, attempt.number)
    db.executemany(START, updates)
    return claimed


def _promote(db: apsw.Connection, kind: int, now: Micros) -> None:
    if first(db, DUE, (kind, now)):
        db.execute(PROMOTE, (kind, now, PROMOTE_AT_ONCE))


def ready_types(db: apsw.Connection, kind: int) -> Iterator[str]:
    """The types that have ready tasks; one index probe each, however many tasks there are."""
    name = ""
    while row := first(db, NEXT_TYPE, (kind, name)):
        name = row[0]
        yield name


def _choose(db: apsw.Connection, kind: int, wanted: Claim, now: Micros) -> list[int]:
    names = ready_types(db, kind) if wanted.types is None else wanted.types
    left_out = paused(db)
    limit = len(wanted.tokens)
    found = [
        row
        for name in names
        if name not in left_out
        for row in rows(db, CANDIDATES, (kind, name, now, limit))
    ]
    return [seq for _, _, seq in heapq.nsmallest(limit, found)]


def _start(db: apsw.Connection, wanted: Claim, token: str, row: Row, now: Micros) -> Claimed:
    _, task_id, task_type, _, retries, timeout, number, spent, *rest = row
    redrives, submitted, edit, due, text = rest
    limits = wanted.limits(task_type, Limits(retries, timeout))
    assert limits.max_retries is not None and limits.timeout is not None  # noqa: S101, PT018
    if edit is not None:
        text = value(db, "SELECT payload FROM act WHERE id = ?", (edit,))
    return Claimed(
        task_id, token, task_type, text, number + 1, spent + 1, limits.max_retries,
        limits.timeout, now + round(limits.timeout * SECOND), redrives, submitted, now, due,
    )  # fmt: skip


RUNNING = """
SELECT token, seq, task.type, number, spent, attempt_count, started_at, edit, alone
FROM json_each(?) AS wanted
CROSS JOIN task ON task.id = wanted.value ->> 0 AND task.token = wanted.value ->> 1
"""

FINISH = """
UPDATE task SET state = ?, updated_at = ?, worker = NULL, token = NULL, open = NULL, alone = ?,
  error_number = coalesce(?, error_number) WHERE seq = ?
"""

AGAIN = """
UPDATE task SET state = ?, updated_at = ?, worker = NULL, token = NULL, due_at = ?,
  ready = ?, waiting = ?, alone = ?, spent = ?, attempt_count = ?,
  error_number = coalesce(?, error_number) WHERE seq = ?
"""

ATTEMPT = """
INSERT INTO attempt (key, started_at, finished_at, outcome, next_attempt_at, error_type, message,
                     traceback, fingerprint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


RESULT = "INSERT INTO result (seq, text) VALUES (?, ?)"


def settle(transaction: Transaction, settlements: Sequence[Settlement]) -> list[bool]:
    """End attempts whose token still runs; what a stale token brings changes nothing."""
    db = transaction.db
    wanted = [(done.task_id, done.token) for done in settlements]
    found = rows(db, RUNNING, (msgspec.json.encode(wanted).decode(),))
    running = {token: _Running(*row) for token, *row in found}
    ended = [(running.pop(done.token, None), done) for done in settlements]
    held = [(task, done) for task, done in ended if task is not None]
    db.executemany(ATTEMPT, [_attempt_row(transaction.now, *one) for one in held])
    for sql, row, events in (
        (FINISH, _finish_row, (Event.SUCCEED, Event.DIE)),
        (AGAIN, _again_row, (Event.RETRY, Event.RELEASE)),
    ):
        some = [one for one in held if one[1].event in events]
        db.executemany(sql, [row(transaction, *one) for one in some])
    results = [(task.seq, done.result) for task, done in held if done.result is not None]
    db.executemany(RESULT, results)
    for task, done in held:
        if done.event is Event.DIE:
            bury(transaction, task.seq, task.number, task.attempt_count, task.edit, done.error)
        transaction.moved(State.RUNNING, AFTER[done.event])
        transaction.tell(done.task_id, task.type, AFTER[done.event], task.number)
    return [task is not None for task, _ in ended]


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


AFTER = {event: after for (state, event), after in TRANSITIONS.items() if state is State.RUNNING}


def _due_again(now: Micros, task: _Running, done: Settlement) -> Micros:
    """A retry waits from its attempt's end, which is never before its start."""
    return max(now, task.started_at) + done.wait if done.event is Event.RETRY else now


def _attempt_row(now: Micros, task: _Running, done: Settlement) -> Row:
    again = _due_again(now, task, done) if done.event is Event.RETRY else None
    times = (task.started_at, now)
    return attempt_row(task.seq, task.number, times, done.outcome, done.error, again)


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
    ready, waiting = (1 + lonely, None) if due <= now else (None, 1 + lonely)
    transaction.due(due)
    return (
        AFTER[done.event], now, due, ready, waiting, lonely, task.spent - uncount,
        task.attempt_count - uncount, _error_number(task, done), task.seq,
    )  # fmt: skip


def attempt_row(
    seq: int,
    number: int,
    times: tuple[Micros, Micros],
    outcome: Outcome,
    error: TaskError | None = None,
    next_at: Micros | None = None,
) -> Row:
    """How an attempt ended, as a row for ATTEMPT; `times` are its start and now."""
    why = (error.type, error.message, error.traceback, error.fingerprint) if error else (None,) * 4
    return ((seq << ATTEMPT_BITS) | number, times[0], max(times), outcome, next_at, *why)


HELD = """
SELECT id, token, worker, spent, max_retries, timeout, deadline - ?, type
FROM task WHERE worker = ?
"""

NEXT_WORKER = "SELECT worker FROM task WHERE worker > ? ORDER BY worker LIMIT 1"


def held(db: apsw.Connection, now: Micros, worker: str | None) -> list[Held]:
    """What this worker runs; None: what all workers run whose lease is over."""
    if worker is not None:
        return [Held(*row) for row in rows(db, HELD, (now, worker))]
    alive = {row[0] for row in rows(db, "SELECT id FROM worker WHERE lease_until > ?", (now,))}
    found: list[Held] = []
    name = ""
    while row := first(db, NEXT_WORKER, (name,)):
        name = row[0]
        if name not in alive:
            found += held(db, now, name)
    return found


def dropped(db: apsw.Connection, tokens: Mapping[str, str]) -> list[str]:
    """Of these tokens (each with its task id), those that no longer run."""
    sql = "SELECT 1 FROM task WHERE id = ? AND token = ?"
    return [token for token, task_id in tokens.items() if first(db, sql, (task_id, token)) is None]


def enlist(transaction: Transaction, worker: Worker, lease: Micros) -> None:
    """Let this worker claim.  Those that are gone, and that nobody struck off, go now."""
    transaction.db.execute(
        "DELETE FROM worker WHERE lease_until <= ?"
        " AND NOT EXISTS (SELECT 1 FROM task WHERE task.worker = worker.id)",
        (transaction.now,),
    )
    types = None if worker.types is None else msgspec.json.encode(worker.types).decode()
    transaction.db.execute(
        "INSERT INTO worker (id, lease_until, types, alone) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until, "
        "types = excluded.types, alone = excluded.alone",
        (worker.id, transaction.now + lease, types, int(worker.alone)),
    )


def extend(transaction: Transaction, workers: Collection[str], lease: Micros) -> set[str]:
    """Extend leases; those of workers that were struck off stay so."""
    sql = "UPDATE worker SET lease_until = ? WHERE id = ? RETURNING id"
    until = transaction.now + lease
    return {row[0] for worker in workers for row in rows(transaction.db, sql, (until, worker))}


def dismiss(transaction: Transaction, worker: str, *, expired: bool) -> None:
    """Strike a worker off; with `expired` only one whose lease is over and that holds nothing."""
    condition = ""
    if expired:
        condition = (
            f" AND lease_until <= {transaction.now}"
            " AND NOT EXISTS (SELECT 1 FROM task WHERE task.worker = worker.id)"
        )
    transaction.db.execute(f"DELETE FROM worker WHERE id = ?{condition}", (worker,))


NEXT_READY = "SELECT due_at FROM task WHERE ready = ? AND type = ? ORDER BY priority DESC LIMIT 1"

LOOK_AHEAD = 100


def due_in(
    db: apsw.Connection, now: Micros, types: Collection[str] | None, *, alone: bool
) -> Micros | None:
    """How long until a claim could find a task; short where many tasks of other types wait."""
    kind, left_out = 2 if alone else 1, paused(db)
    for name in ready_types(db, kind) if types is None else types:
        if name not in left_out and first(db, NEXT_READY, (kind, name)):
            return 0
    waiting = "SELECT due_at, type FROM task WHERE waiting = ? ORDER BY due_at LIMIT ?"
    due, looked = now, 0
    for due, name in rows(db, waiting, (kind, LOOK_AHEAD)):
        looked += 1
        if (types is None or name in types) and name not in left_out:
            return int(max(0, due - now))
    return int(max(0, due - now)) if looked == LOOK_AHEAD else None
