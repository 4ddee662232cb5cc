"""Who is alive, and what each one runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import apsw
import msgspec

from unlost.ledger.sqlite.connection.rows import first, rows, snapshot, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.values import MOST_SHOWN, Enlisted, Held, Running, Worker
from unlost.limits.control import NAMED_FOR
from unlost.task import Micros

HELD = """
SELECT id, token, worker, spent, max_retries, timeout, deadline - ?, type, number, carried,
       coalesce(excused, 0)
FROM task WHERE worker = ?
"""

# `pull` says how it claims: 1 by the API, 0 as a stand-in (see `Claimant`), else NULL.

# It holds nothing, and what it named by the API counts no more.
FORGOTTEN = (
    "NOT EXISTS (SELECT 1 FROM task WHERE task.worker = worker.id)"
    " AND (pull IS NOT 1 OR lease_until <= ?)"
)

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
    """Let this worker claim.  Those that have been gone for a lease, and that nobody struck off,
    go now."""
    strike_off(transaction, lease)
    types = None if worker.types is None else msgspec.json.encode(worker.types).decode()
    pull = 1 if worker.pull else 0 if worker.stand_in else None
    transaction.db.execute(
        "INSERT INTO worker (id, lease_until, types, alone, slots, pull) "
        "VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until, "
        "alone = excluded.alone, types = iif(excluded.types IS '[]', types, excluded.types), "
        "slots = iif(excluded.types IS '[]', slots, excluded.slots), "
        "pull = iif(excluded.types IS '[]', pull, excluded.pull)",
        (worker.id, transaction.now + lease, types, int(worker.alone), worker.slots, pull),
    )


def strike_off(transaction: Transaction, lease: Micros) -> None:
    """Strike off the workers that hold nothing, and whose leases have been over for so long."""
    transaction.db.execute(
        f"DELETE FROM worker WHERE lease_until <= ? AND {FORGOTTEN}",
        (transaction.now - lease, transaction.now - NAMED_FOR),
    )


def extend(transaction: Transaction, names: Collection[str], lease: Micros) -> set[str]:
    """Extend leases; those of workers that were struck off stay so."""
    sql = "UPDATE worker SET lease_until = ? WHERE id = ? RETURNING id"
    until = transaction.now + lease
    return {row[0] for name in names for row in rows(transaction.db, sql, (until, name))}


def dismiss(transaction: Transaction, worker: str, *, expired: bool) -> None:
    """Strike a worker off; with `expired` only one whose lease is over and that holds nothing."""
    condition = ""
    values: tuple[object, ...] = (worker,)
    if expired:
        condition = f" AND lease_until <= {transaction.now} AND {FORGOTTEN}"
        values = (*values, transaction.now - NAMED_FOR)
    transaction.db.execute(f"DELETE FROM worker WHERE id = ?{condition}", values)


OLDEST_RUNNING = """
SELECT id, type, number, started_at FROM task WHERE worker = ? ORDER BY started_at, id LIMIT ?
"""


def workers(db: apsw.Connection, now: Micros) -> list[Enlisted]:
    """The workers whose leases hold, and what they run, in one snapshot."""
    with snapshot(db):
        return living(db, now)


ALIVE = """
SELECT id, types, alone, slots, pull, lease_until FROM worker WHERE lease_until > ? ORDER BY id
"""


def living(db: apsw.Connection, now: Micros) -> list[Enlisted]:
    """The same, within a snapshot."""
    return [_enlisted(db, *row) for row in rows(db, ALIVE, (now,))]


def _enlisted(
    db: apsw.Connection,
    name: str,
    types: str | None,
    alone: int,
    slots: int | None,
    pull: int | None,
    until: Micros,
) -> Enlisted:
    named = None if types is None else tuple(msgspec.json.decode(types, type=list[str]))
    running = tuple(Running(*row) for row in rows(db, OLDEST_RUNNING, (name, MOST_SHOWN)))
    count = value(db, "SELECT count(*) FROM task WHERE worker = ?", (name,))
    worker = Worker(name, named, bool(alone), slots, pull == 1, pull == 0)
    return Enlisted(worker, until, running, count)
