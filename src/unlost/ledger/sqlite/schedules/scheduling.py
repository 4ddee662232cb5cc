"""Schedules (`Schedule`), one row each, and their newest ticks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import starmap

import apsw
import msgspec

from unlost.ledger.sqlite.connection.rows import Row, each, first, rows, snapshot, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.tasks.submitting import submit
from unlost.ledger.weight import schedule_weight, within
from unlost.schedule.schedule import KEPT_TICKS, MOST, Due, Move, Moved, Reason, Schedule, Tick
from unlost.schedule.stored import read, written
from unlost.task import Micros, Submission

AT_ONCE = 50
"""Steps of one transaction: who submits meanwhile may have to wait for all of them."""

COLUMNS = "schedule, payload"

REVISION = "SELECT revision FROM schedule WHERE id = ?"

TAKEN = "SELECT 1 FROM task WHERE id = ?"

INSERT = "INSERT INTO schedule (id, revision, next, schedule, payload) VALUES (?, ?, ?, ?, ?)"

MOVE = "UPDATE schedule SET revision = ?, next = ?, schedule = ? WHERE id = ?"

TICK = "INSERT INTO tick (schedule, number, time, task, reason) VALUES (?, ?, ?, ?, ?)"

FORGET = "DELETE FROM tick WHERE schedule = ? AND number <= ?"

DUE = f"SELECT {COLUMNS} FROM schedule WHERE next <= ? ORDER BY next, id LIMIT ?"

LATER = """
SELECT next FROM schedule WHERE next IS NOT NULL AND (next, id) > (?, ?) ORDER BY next, id LIMIT 1
"""

UNENDED = """
SELECT task.id FROM json_each(?) AS wanted CROSS JOIN task ON task.id = wanted.value
WHERE task.open IS NOT NULL
"""


def move(transaction: Transaction, moves: Sequence[Move]) -> list[Moved]:
    """Take steps, in order, each only where the schedule is as it was before."""
    tasks: dict[str, Submission] = {}
    results = [_move(transaction.db, one, tasks) for one in moves]
    if tasks:
        submit(transaction, list(tasks.values()))
    return results


def _move(db: apsw.Connection, one: Move, tasks: dict[str, Submission]) -> Moved:
    """One step, but for its task, which goes to `tasks`."""
    schedule, new = one.schedule, one.task
    if one.expected != (value(db, REVISION, (schedule.id,)) or 0):
        return Moved.STALE
    if not one.expected and value(db, "SELECT count(*) FROM schedule") >= MOST:
        return Moved.FULL
    if new is not None:
        if new.task_id in tasks or first(db, TAKEN, (new.task_id,)):
            return Moved.TAKEN
        tasks[new.task_id] = new
    _keep(db, one)
    return Moved.DONE


def _keep(db: apsw.Connection, one: Move) -> None:
    schedule = one.schedule
    changing = (schedule.revision, schedule.next, written(schedule))
    if one.expected:
        db.execute(MOVE, (*changing, schedule.id))
        if one.new_plan:
            payload = (schedule.plan.payload, schedule.id)
            db.execute("UPDATE schedule SET payload = ? WHERE id = ?", payload)
    else:
        db.execute(INSERT, (schedule.id, *changing, schedule.plan.payload))
    if one.ticks:
        ticks = [(schedule.id, number, *_row(tick)) for number, tick in one.numbered]
        db.executemany(TICK, ticks)
        if schedule.due > KEPT_TICKS:
            db.execute(FORGET, (schedule.id, schedule.due - KEPT_TICKS))


def _row(tick: Tick) -> Row:
    return tick.time, tick.task_id, tick.reason


def drop(transaction: Transaction, schedule_id: str) -> bool:
    """Forget a schedule and its ticks."""
    transaction.db.execute("DELETE FROM tick WHERE schedule = ?", (schedule_id,))
    transaction.db.execute("DELETE FROM schedule WHERE id = ?", (schedule_id,))
    return transaction.db.changes() > 0


def get(db: apsw.Connection, schedule_id: str) -> Schedule | None:
    """One schedule."""
    row = first(db, f"SELECT {COLUMNS} FROM schedule WHERE id = ?", (schedule_id,))
    return None if row is None else read(*row)


def schedules(
    db: apsw.Connection, after: str, limit: int, room: int, *, payloads: bool
) -> list[Schedule]:
    """Schedules by id."""
    columns = COLUMNS if payloads else "schedule, ''"
    sql = f"SELECT {columns} FROM schedule WHERE id > ? ORDER BY id LIMIT ?"
    with each(db, sql, (after, limit)) as found:
        return list(within(room, starmap(read, found), schedule_weight))


def ticks(db: apsw.Connection, schedule_id: str, limit: int) -> list[Tick]:
    """The newest ticks, the newest first."""
    sql = "SELECT time, task, reason FROM tick WHERE schedule = ? ORDER BY number DESC LIMIT ?"
    return [
        Tick(time, task_id, None if reason is None else Reason(reason))
        for time, task_id, reason in rows(db, sql, (schedule_id, limit))
    ]


def due(db: apsw.Connection, now: Micros, limit: int, room: int) -> Due:
    """What is due, and when there is more."""
    with snapshot(db):
        with each(db, DUE, (now, limit)) as due:
            found = list(within(room, starmap(read, due), schedule_weight))
        last = (found[-1].next, found[-1].id) if found else (-1, "")
        return Due(now, found, value(db, LATER, last))


def unended(db: apsw.Connection, task_ids: Collection[str]) -> set[str]:
    """Which of these tasks are there and have not ended."""
    wanted = msgspec.json.encode(list(task_ids)).decode()
    return {row[0] for row in rows(db, UNENDED, (wanted,))}
