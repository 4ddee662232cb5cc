"""Workers that claim by the API: enlisted by their claims, which may come twice."""

from __future__ import annotations

from collections.abc import Mapping

import apsw
import msgspec
from msgspec.structs import replace

from unlost.ledger.protocol import AnotherCall, AnothersWorker, LeaseOver
from unlost.ledger.sqlite.attempts.claiming import claim, ready_types
from unlost.ledger.sqlite.attempts.workers import strike_off
from unlost.ledger.sqlite.connection.rows import Row, first, rows, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.controls import pacing
from unlost.ledger.sqlite.controls.controlling import holding
from unlost.ledger.sqlite.controls.controlling import rooms as rooms_for
from unlost.ledger.sqlite.steps import forgetting
from unlost.ledger.values import Claimed, Held, Pull, Pulled
from unlost.limits.control import Claimant
from unlost.task import Micros

ALONE = 2
"""How tasks are marked in `ready` and `waiting` that must run alone."""

LOOKED_AT = 100
"""Of these, those of one type that are looked at."""

WORKER = "SELECT owner, lease_until FROM worker WHERE id = ?"

ENLIST = """
INSERT INTO worker (id, lease_until, types, alone, pull, owner) VALUES (?, ?, ?, 0, 1, ?)
ON CONFLICT (id) DO UPDATE
SET lease_until = max(lease_until, excluded.lease_until), types = excluded.types
"""

# Of those that run alone a worker holds no more than one, and nothing beside it.
HOLDS = "SELECT alone FROM task WHERE worker = ? LIMIT 1"

AGAIN = """
SELECT worker, alone, task.id, token, type, payload.text, number, spent, max_retries, timeout,
  task.deadline, redrive_count, submitted_at, started_at, edit, carried, effects, excused, key
FROM pulled CROSS JOIN task USING (seq, token) CROSS JOIN payload USING (seq)
WHERE pulled.token >= ? AND pulled.token < ? ORDER BY pulled.token
"""

STANDING = """
SELECT token, worker FROM json_each(?) AS wanted
CROSS JOIN task ON task.id = wanted.value ->> 0 AND task.token = wanted.value ->> 1
WHERE deadline > ?
"""

# What has become due waits until a claim finds it, which only those of empty workers look for.
LONE_WAITING = f"""
SELECT type, due_at, key FROM task WHERE waiting = {ALONE} AND due_at <= ?
ORDER BY due_at LIMIT {LOOKED_AT}
"""

LONE_READY = f"""
SELECT type, due_at, key FROM task WHERE ready = {ALONE} AND type = ?
ORDER BY priority DESC, due_at LIMIT {LOOKED_AT}
"""

OVERTIME = """
SELECT id, token, worker, spent, max_retries, timeout, task.deadline - ?, type, number, carried,
  coalesce(excused, 0)
FROM pulled CROSS JOIN task USING (seq, token) WHERE pulled.deadline <= ?
"""


def pull(transaction: Transaction, wanted: Pull) -> Pulled:
    """Enlist the worker, and start attempts, or give again those of an earlier call."""
    db, now, name = transaction.db, transaction.now, wanted.claim.worker
    known = first(db, WORKER, (name,))
    held = first(db, HOLDS, (name,))
    if known is not None and known[0] != wanted.owner:
        raise AnothersWorker(name)
    if (held is not None or wanted.waits) and (known is None or known[1] <= now):
        raise LeaseOver(name)
    again = rows(db, AGAIN, _from(wanted.known_by))
    if not all(row[0] == name and row[3].startswith(wanted.prefix) for row in again):
        raise AnotherCall
    if known is None:
        strike_off(transaction, wanted.lease)
    if not wanted.waits:
        _enlist(transaction, wanted)
    if again:
        return Pulled(tuple(_again(db, row) for row in again), bool(again[0][1]), again=True)
    pulled = _started(transaction, wanted, held)
    if wanted.waits and pulled.attempts:
        _enlist(transaction, wanted)
    return pulled


def _enlist(transaction: Transaction, wanted: Pull) -> None:
    types = msgspec.json.encode(list(wanted.claim.types or ())).decode()
    until = transaction.now + wanted.lease
    transaction.db.execute(ENLIST, (wanted.claim.worker, until, types, wanted.owner))


def _started(transaction: Transaction, wanted: Pull, held: Row | None) -> Pulled:
    if held is not None and (held[0] or wanted.empties):
        return Pulled()
    if held is None:
        solo = replace(wanted.claim, tokens=wanted.claim.tokens[:1], alone=True)
        if found := claim(transaction, solo):
            return Pulled(tuple(found), alone=True)
    return Pulled(tuple(claim(transaction, wanted.claim)))


def _from(start: str) -> tuple[str, str]:
    """Between what all lies that starts so."""
    return start, start[:-1] + chr(ord(start[-1]) + 1)


def _again(db: apsw.Connection, row: Row) -> Claimed:
    """An attempt as it was claimed; when its task was due is not known any more."""
    task_id, token, task_type, text, number, spent, retries, timeout, deadline = row[2:11]
    redrives, submitted, started, edit, carried, effects, excused, key = row[11:]
    if edit is not None:
        text = value(db, "SELECT payload FROM act WHERE id = ?", (edit,))
    return Claimed(
        task_id, token, task_type, text, number, spent, retries, timeout, deadline, redrives,
        submitted, started, None, carried, forgetting.read(effects), excused or 0, key,
    )  # fmt: skip


def prolong(transaction: Transaction, worker: str, owner: str, lease: Micros) -> None:
    """Prolong the worker's lease, unless it is over."""
    known = first(transaction.db, WORKER, (worker,))
    if known is not None and known[0] != owner:
        raise AnothersWorker(worker)
    if known is None or known[1] <= transaction.now:
        raise LeaseOver(worker)
    until = transaction.now + lease
    transaction.db.execute("UPDATE worker SET lease_until = ? WHERE id = ?", (until, worker))


def standing(db: apsw.Connection, now: Micros, tokens: Mapping[str, str]) -> dict[str, str]:
    """The tokens whose attempts run, in time, and their workers."""
    wanted = msgspec.json.encode([(task_id, token) for token, task_id in tokens.items()]).decode()
    return dict(rows(db, STANDING, (wanted, now)))


def lone(db: apsw.Connection, now: Micros) -> dict[str, Micros]:
    """For how long tasks have been due that must run alone and have room, by type."""
    room = rooms_for(db, holding(db, Claimant.PULL, now), now, Claimant.PULL)
    found: dict[str, Micros] = {}
    due = rows(db, LONE_WAITING, (now,))
    for name in ready_types(db, ALONE):
        due += rows(db, LONE_READY, (name,))
    for name, due_at, key in due:
        pacing.know(db, room, name, key)
        when = room.when(name, key)
        if when is not None and when <= now:
            found[name] = max(found.get(name, 0), now - due_at)
    return found


def overtime(db: apsw.Connection, now: Micros) -> list[Held]:
    """The pulled attempts that run, and whose time is over."""
    return [Held(*row) for row in rows(db, OVERTIME, (now, now))]
