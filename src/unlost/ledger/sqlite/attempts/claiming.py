"""Claiming due tasks, and when there will be some."""

from __future__ import annotations

import heapq
import json
from collections.abc import Collection, Iterator
from functools import partial

import apsw

from unlost.control import Rooms
from unlost.ledger.protocol import LeaseOver
from unlost.ledger.sqlite.attempts.settling import settle
from unlost.ledger.sqlite.connection.rows import Row, first, rows, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.controls.controlling import controls, rooms
from unlost.ledger.sqlite.controls.parking import park
from unlost.ledger.values import Claim, Claimed, Settlement
from unlost.policy import Limits
from unlost.task import SECOND, Event, Micros, Outcome, State

PROMOTE_AT_ONCE = 1_000

LOOKED_AT = 1_000
"""Tasks of a limited type that one claim looks at, where most of them have no room."""

DUE = "SELECT 1 FROM task WHERE waiting = ? AND due_at <= ? LIMIT 1"

PROMOTE = """
UPDATE task SET ready = waiting, waiting = NULL WHERE seq IN (
  SELECT seq FROM task WHERE waiting = ? AND due_at <= ? ORDER BY due_at LIMIT ?)
"""

NEXT_TYPE = "SELECT type FROM task WHERE ready = ? AND type > ? ORDER BY type LIMIT 1"

CANDIDATES = """
SELECT -priority, due_at, seq, key FROM task WHERE ready = ? AND type = ? AND due_at <= ?
ORDER BY priority DESC, due_at LIMIT ?
"""

CHOSEN = """
SELECT task.seq, task.id, task.type, state, own_retries, own_timeout, number, spent, redrive_count,
       submitted_at, edit, due_at, payload.text, carried
FROM json_each(?) AS wanted CROSS JOIN task ON task.seq = wanted.value JOIN payload USING (seq)
ORDER BY wanted.key
"""

START = """
UPDATE task SET state = 'running', ready = NULL, worker = ?, token = ?, number = ?, spent = ?,
  attempt_count = attempt_count + 1, started_at = ?, updated_at = ?, deadline = ?,
  max_retries = ?, timeout = ?
WHERE seq = ?
"""

_Turn = tuple[int, Micros, int]
"""A task by its turn: priority (negated), when it was due, its seq."""


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
    transaction.take_back.append(partial(_release, claimed=claimed))
    return claimed


def _release(transaction: Transaction, claimed: list[Claimed]) -> None:
    """End attempts that nobody was told to begin, so that they cost nothing."""
    settle(
        transaction,
        [Settlement(one.task_id, one.token, Outcome.RELEASED, Event.RELEASE, 0) for one in claimed],
    )


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
    limited = {control.type: control for control in controls(db)}
    room = rooms(db, limited.values(), now)
    limit = len(wanted.tokens)
    found: list[_Turn] = []
    for name in names:
        if name in limited:
            found += _with_room(db, kind, name, room, now, limit)
        else:
            found += [row[:3] for row in rows(db, CANDIDATES, (kind, name, now, limit))]
    return [seq for _, _, seq in heapq.nsmallest(limit, found)]


def _with_room(
    db: apsw.Connection, kind: int, name: str, room: Rooms, now: Micros, limit: int
) -> list[_Turn]:
    """Of a limited type, the first for which there is room.  Those before them whose key has none
    are parked."""
    found: list[_Turn] = []
    full: list[int] = []
    limit = int(min(limit, room.of_type(name)))
    candidates = rows(db, CANDIDATES, (kind, name, now, LOOKED_AT))
    while len(found) < limit and (row := next(candidates, None)):
        *turn, key = row
        if room.take(name, key):
            found.append((turn[0], turn[1], turn[2]))
        else:
            full.append(turn[2])
    park(db, full)
    return found


def _start(db: apsw.Connection, wanted: Claim, token: str, row: Row, now: Micros) -> Claimed:
    task_id, task_type, _, retries, timeout, number, spent, redrives = row[1:9]
    submitted, edit, due, text, carried = row[9:]
    limits = wanted.limits(task_type, Limits(retries, timeout))
    assert limits.max_retries is not None and limits.timeout is not None  # noqa: S101, PT018
    if edit is not None:
        text = value(db, "SELECT payload FROM act WHERE id = ?", (edit,))
    return Claimed(
        task_id, token, task_type, text, number + 1, spent + 1, limits.max_retries,
        limits.timeout, now + round(limits.timeout * SECOND), redrives, submitted, now, due,
        carried,
    )  # fmt: skip


NEXT_READY = "SELECT key FROM task WHERE ready = ? AND type = ? ORDER BY priority DESC LIMIT ?"

WAITING = "SELECT due_at, type, key FROM task WHERE waiting = ? ORDER BY due_at LIMIT ?"

LOOK_AHEAD = 100


def due_in(
    db: apsw.Connection, now: Micros, types: Collection[str] | None, *, alone: bool
) -> Micros | None:
    """How long until a claim could find a task; short where many that it cannot take wait."""
    kind = 2 if alone else 1
    room = rooms(db, controls(db), now)
    for name in ready_types(db, kind) if types is None else types:
        if room.of_type(name) >= 1 and _may_find(db, kind, name, room):
            return 0
    due, looked = now, 0
    for due, name, key in rows(db, WAITING, (kind, LOOK_AHEAD)):
        looked += 1
        if (types is None or name in types) and room.any(name, key):
            return int(max(0, due - now))
    return int(max(0, due - now)) if looked == LOOK_AHEAD else None


def _may_find(db: apsw.Connection, kind: int, name: str, room: Rooms) -> bool:
    """Whether a claim finds one of this type that is ready, or has at least to park many."""
    looked = 0
    for (key,) in rows(db, NEXT_READY, (kind, name, LOOKED_AT)):
        looked += 1
        if room.any(name, key):
            return True
    return looked == LOOKED_AT
