"""Counting: the sums of what was counted, and what waits for nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import apsw

from unlost.ledger.sqlite.attempts.claiming import ready_types
from unlost.ledger.sqlite.connection.rows import first, rows, snapshot
from unlost.ledger.sqlite.controls.controlling import paused, pulled
from unlost.ledger.unserved import Served, unserved
from unlost.ledger.values import Counts
from unlost.task import Micros, State

COUNTS = """
SELECT accepted, settled, queued, running, retrying, succeeded, dead, cancelled,
       (SELECT coalesce(max(seq), 0) FROM task) FROM tally
"""

NEXT_PARKED = "SELECT type FROM task WHERE parked = ? AND type > ? ORDER BY type LIMIT 1"

TAKEN = "SELECT types, pull FROM worker WHERE lease_until > ? AND NOT alone"


def counts(db: apsw.Connection, now: Micros) -> Counts:
    """The counters, and what waits for nobody, in one snapshot."""
    with snapshot(db):
        accepted, settled, *numbers, position = rows(db, COUNTS)[0]
        states = dict(zip(State, numbers, strict=True))
        taken = [(_types(text), bool(pull)) for text, pull in rows(db, TAKEN, (now,))]
        unhandled, oldest = _unhandled(db, now, taken), _oldest(db, now)
        workers = sum(types != [] for types, _ in taken)
        return Counts(accepted, settled, states, position, unhandled, oldest, workers)


def _types(text: str | None) -> list[str] | None:
    return None if text is None else list(json.loads(text))


def _parked(db: apsw.Connection, kind: int) -> Iterator[str]:
    """The types of which tasks are parked: where it is a rate that they wait for, no claim may come
    to bring them back."""
    name = ""
    while row := first(db, NEXT_PARKED, (kind, name)):
        name = row[0]
        yield name


def _unhandled(db: apsw.Connection, now: Micros, taken: Sequence[Served]) -> tuple[str, ...]:
    marked = pulled(db)
    if not marked and any(types is None for types, _ in taken):
        return ()
    waiting = {name for kind in (1, 2) for name in (*ready_types(db, kind), *_parked(db, kind))}
    overdue = "SELECT type FROM task WHERE waiting = ? AND due_at <= ? ORDER BY due_at LIMIT 1000"
    for kind in (1, 2):
        waiting.update(row[0] for row in rows(db, overdue, (kind, now)))
    return unserved(waiting - paused(db), taken, marked)


OVERDUE = """
SELECT due_at FROM task
WHERE waiting = ? AND due_at <= ? AND type NOT IN (SELECT value FROM json_each(?))
ORDER BY due_at LIMIT 1
"""


NEXT_PRIORITY = """
SELECT priority, due_at FROM task WHERE ready = ? AND type = ? AND priority < ?
ORDER BY priority DESC, due_at LIMIT 1
"""


def _oldest(db: apsw.Connection, now: Micros) -> Micros | None:
    """When the task became due that has waited longest."""
    found: list[Micros] = []
    left_out = paused(db)
    for kind in (1, 2):
        found += [row[0] for row in rows(db, OVERDUE, (kind, now, json.dumps([*left_out])))]
        for name in set(ready_types(db, kind)) - left_out:
            below = 101
            while row := first(db, NEXT_PRIORITY, (kind, name, below)):
                below, due = row
                found.append(due)
    return min(found, default=None)
