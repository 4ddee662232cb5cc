"""What decides whether tasks can start, for `unlost.limits.why`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import apsw
import msgspec

from unlost.ledger.sqlite.attempts.workers import living
from unlost.ledger.sqlite.connection.rows import first, rows, snapshot, value
from unlost.ledger.sqlite.controls import pacing
from unlost.ledger.sqlite.controls.controlling import RUNNING, controls, named_by_pulls
from unlost.ledger.sqlite.tasks.reading import COLUMNS, NUMBER_OF_COLUMNS, record
from unlost.limits.control import Control, Rooms, Run
from unlost.limits.why import Alive, Facts, taken
from unlost.task import Micros

ONE = f"SELECT {COLUMNS}, alone FROM task WHERE id = ?"

# What comes before a task, a stretch of an index each: of a higher priority; due sooner; submitted
# sooner.
STRETCHES = (
    "priority > :priority",
    "priority = :priority AND due_at < :due_at",
    "priority = :priority AND due_at = :due_at AND seq < :seq",
)
READY = "ready = :kind AND type = :type"
PARKED = "parked = :kind AND type = :type AND key = :key"

COUNT = "SELECT count(*) FROM (SELECT 1 FROM task WHERE {} LIMIT :most)"
COUNT_BY_KEY = """
SELECT count(*) FROM (SELECT key FROM task WHERE {} LIMIT :most) WHERE key IS NULL OR key = :key
"""

# Due, and not yet ready: no claim has looked since.
OVERDUE = """
SELECT count(*) FROM (
  SELECT seq, type, priority, due_at, key FROM task WHERE waiting = :kind AND due_at <= :now
  ORDER BY due_at LIMIT :most)
WHERE type = :type AND (-priority, due_at, seq) < (-:priority, :due_at, :seq)
  AND (:any_key OR key IS NULL OR key = :key)
"""

OF_ANY_KEY = (*(COUNT.format(f"{READY} AND {one}") for one in STRETCHES), OVERDUE)
OF_ITS_KEY = (
    *(COUNT_BY_KEY.format(f"{READY} AND {one}") for one in STRETCHES),
    *(COUNT.format(f"{PARKED} AND {one}") for one in STRETCHES),
    OVERDUE,
)


class _Standing(msgspec.Struct, frozen=True):
    """What is the same for all tasks."""

    now: Micros
    controls: dict[str, Control]
    running: list[Run]
    workers: tuple[Alive, ...]
    rooms: Rooms
    named: frozenset[str]


def facts(
    db: apsw.Connection, now: Micros, task_ids: Collection[str], most_before: int
) -> dict[str, Facts]:
    """What decides whether these tasks can start, in one snapshot."""
    with snapshot(db):
        known = {control.type: control for control in controls(db)}
        running = [Run(*row) for row in rows(db, RUNNING)] if known else []
        alive = tuple(one.alive for one in living(db, now))
        rooms = Rooms(known.values(), running, now)
        stand_in = any(one.stand_in for one in alive)
        named = named_by_pulls(db, now) if stand_in else frozenset[str]()
        standing = _Standing(now, known, running, alive, rooms, named)
        found = (_facts(db, standing, task_id, most_before) for task_id in task_ids)
        return {one.record.task_id: one for one in found if one is not None}


def _facts(
    db: apsw.Connection, standing: _Standing, task_id: str, most_before: int
) -> Facts | None:
    row = first(db, ONE, (task_id,))
    if row is None:
        return None
    task, alone = record(db, row, ()), bool(row[NUMBER_OF_COLUMNS])
    if task.due_at is None:
        return Facts(task, standing.now)
    control = standing.controls.get(task.type)
    by_key = control is not None and control.by_key
    turn = {
        "kind": 2 if alone else 1, "type": task.type, "priority": task.priority,
        "due_at": task.due_at, "seq": row[0], "key": task.key, "any_key": not by_key,
        "now": standing.now, "most": most_before,
    }  # fmt: skip
    before = _before(db, OF_ITS_KEY if by_key else OF_ANY_KEY, turn)
    of_type = taken(control, task.key, standing.running)
    return Facts(
        task, standing.now, alone, control, of_type, standing.workers, before,
        _free_at(db, standing.rooms, task.type, None),
        None if task.key is None else _free_at(db, standing.rooms, task.type, task.key),
        named=task.type in standing.named,
    )  # fmt: skip


def _free_at(db: apsw.Connection, room: Rooms, name: str, key: str | None) -> Micros | None:
    pacing.know(db, room, name, key)
    return room.free_at(name, key)


def _before(db: apsw.Connection, stretches: Iterable[str], turn: Mapping[str, Any]) -> int:
    """Of those of its kind that are due, how many come first, as far as `most` are looked at."""
    most: int = turn["most"]
    return min(most, sum(value(db, sql, turn) for sql in stretches)) if most else 0
