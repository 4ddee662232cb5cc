"""Schedules (`Schedule`), one row each, and their newest ticks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from unlost.ledger.postgres.connection.transaction import (
    NOW,
    Row,
    Transaction,
    cannot_be,
    packed,
)
from unlost.ledger.postgres.tasks.submitting import refuse_what_cannot_be, submit_first
from unlost.ledger.weight import schedule_weight, within
from unlost.schedule.schedule import KEPT_TICKS, MOST, Due, Move, Moved, Reason, Schedule, Tick
from unlost.schedule.stored import read, written
from unlost.task import Micros

COLUMNS: Final = "schedule, payload"

# Whoever makes or drops one waits for the others here, before a row of `schedule` is locked.
NUMBER: Final = """
INSERT INTO unlost.schedules AS it (number) VALUES (0)
ON CONFLICT (one) DO UPDATE SET number = it.number RETURNING number
"""

COUNT: Final = "UPDATE unlost.schedules SET number = number + %(more)s WHERE one"

LOCK: Final = """
SELECT known.id, known.revision FROM json_array_elements_text(%(ids)s::json) AS wanted (id)
CROSS JOIN LATERAL (
  SELECT id, revision FROM unlost.schedule AS it
  WHERE it.id BETWEEN wanted.id AND wanted.id ORDER BY it.id LIMIT 1 FOR UPDATE) AS known
"""

ITEMS: Final = """
json_to_recordset(%(items)s::json) AS item (
  id text, next bigint, revision integer, schedule text, payload text)
"""

INSERT: Final = f"""
INSERT INTO unlost.schedule (id, next, revision, schedule, payload)
SELECT * FROM {ITEMS} ORDER BY id COLLATE "C" ON CONFLICT (id) DO NOTHING RETURNING id
"""

MOVE: Final = f"""
UPDATE unlost.schedule AS it SET next = item.next, revision = item.revision,
  schedule = item.schedule, payload = coalesce(item.payload, it.payload)
FROM {ITEMS} WHERE it.id = item.id
"""

TICKS: Final = """
INSERT INTO unlost.tick (schedule, number, time, task, reason)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (
  schedule text, number integer, time bigint, task text, reason text)
"""

FORGET: Final = """
DELETE FROM unlost.tick AS it USING json_to_recordset(%(items)s::json) AS item (
  id text, number integer)
WHERE it.schedule = item.id AND it.number <= item.number
"""

DROP: Final = """
WITH gone AS (DELETE FROM unlost.tick WHERE schedule = %(id)s)
DELETE FROM unlost.schedule WHERE id = %(id)s RETURNING id
"""

GET: Final = f"SELECT {COLUMNS} FROM unlost.schedule WHERE id = %(id)s"

BY_ID: Final = f"""
SELECT {COLUMNS} FROM unlost.schedule WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""

NEWEST: Final = """
SELECT time, task, reason FROM unlost.tick
WHERE schedule = %(id)s ORDER BY schedule, number DESC LIMIT %(limit)s
"""

DUE: Final = f"""
SELECT {COLUMNS} FROM unlost.schedule WHERE next <= {NOW} ORDER BY next, id LIMIT %(limit)s
"""

LATER: Final = """
SELECT next FROM unlost.schedule WHERE (next, id) > (%(next)s, %(id)s) AND next IS NOT NULL
ORDER BY next, id LIMIT 1
"""

UNENDED: Final = """
SELECT wanted.id FROM json_array_elements_text(%(ids)s::json) AS wanted (id)
CROSS JOIN LATERAL (
  SELECT state FROM unlost.task WHERE task.id = wanted.id OFFSET 0) AS task
WHERE task.state IS NULL
"""


class _Item(msgspec.Struct, frozen=True):
    """A schedule as MOVE and INSERT take it; the payload is left out where it stays."""

    id: str
    next: Micros | None
    revision: int
    schedule: str
    payload: str | None


class _TickRow(msgspec.Struct, frozen=True):
    schedule: str
    number: int
    time: Micros
    task: str | None
    reason: Reason | None


async def move(transaction: Transaction, moves: Sequence[Move]) -> list[Moved]:
    """Take steps, in order, each only where the schedule is as it was before.

    In each round one of every schedule: so a task is submitted only once the steps before its own
    are known to hold.
    """
    refuse_what_cannot_be(one.task for one in moves if one.task is not None)
    revisions = await _locked(transaction, moves)
    results: dict[int, Moved] = {}
    while len(results) < len(moves):
        left = [turn for turn in range(len(moves)) if turn not in results]
        first = {moves[turn].schedule.id: turn for turn in reversed(left)}
        round_ = sorted(first.values())
        holding = [t for t in round_ if revisions.get(moves[t].schedule.id, 0) == moves[t].expected]
        results |= {turn: Moved.STALE for turn in round_ if turn not in holding}
        results |= await _take(transaction, {turn: moves[turn] for turn in holding})
        revisions |= {
            moves[turn].schedule.id: moves[turn].schedule.revision
            for turn in holding
            if results[turn] is Moved.DONE
        }
    await _keep(transaction, [one for turn, one in enumerate(moves) if results[turn] is Moved.DONE])
    return [results[turn] for turn in range(len(moves))]


async def _locked(transaction: Transaction, moves: Sequence[Move]) -> dict[str, int]:
    """The revisions of the schedules, whose rows nobody else changes until the commit."""
    if any(not one.expected for one in moves):
        await transaction.do(NUMBER)
    ids = sorted({one.schedule.id for one in moves})
    found: list[Any] = await transaction.rows(LOCK, {"ids": packed(ids)})
    return dict(found)


async def _take(transaction: Transaction, moves: dict[int, Move]) -> dict[int, Moved]:
    """Make the new schedules, and submit the tasks: what became of each step."""
    results = dict.fromkeys(moves, Moved.DONE)
    new = {one.schedule.id: turn for turn, one in moves.items() if not one.expected}
    if new:
        [(number,)] = await transaction.rows(NUMBER)
        for name in list(new)[max(0, MOST - number) :]:
            results[new.pop(name)] = Moved.FULL
    if new:
        items = [_item(moves[turn]) for turn in new.values()]
        made = {row[0] for row in await transaction.rows(INSERT, {"items": packed(items)})}
        await transaction.do(COUNT, {"more": len(made)})
        results |= {turn: Moved.STALE for name, turn in new.items() if name not in made}
    tasks = [(turn, one.task) for turn, one in moves.items() if one.task is not None]
    if tasks:
        stored = await submit_first(transaction, [task for _, task in tasks])
        for place, (turn, _) in enumerate(tasks):
            if place not in stored:
                results[turn] = Moved.TAKEN
    return results


async def _keep(transaction: Transaction, done: Sequence[Move]) -> None:
    """Keep the schedules as the last of their steps leave them, with the ticks of all of these."""
    last = {one.schedule.id: one for one in done}
    plans = {one.schedule.id for one in done if one.new_plan}
    items = [_item(one, with_payload=name in plans) for name, one in last.items() if one.expected]
    if items:
        await transaction.do(MOVE, {"items": packed(items)})
    ticks = [
        _TickRow(one.schedule.id, number, tick.time, tick.task_id, tick.reason)
        for one in done
        for number, tick in one.numbered
    ]
    if ticks:
        await transaction.do(TICKS, {"items": packed(ticks)})
        old = [
            {"id": name, "number": one.schedule.due - KEPT_TICKS}
            for name, one in last.items()
            if one.schedule.due > KEPT_TICKS
        ]
        if old:
            await transaction.do(FORGET, {"items": packed(old)})


def _item(one: Move, *, with_payload: bool = True) -> _Item:
    new = one.schedule
    payload = new.plan.payload if with_payload else None
    return _Item(new.id, new.next, new.revision, written(new), payload)


async def drop(transaction: Transaction, schedule_id: str) -> bool:
    """Forget a schedule and its ticks."""
    if cannot_be(schedule_id):
        return False
    await transaction.do(NUMBER)
    gone = await transaction.rows(DROP, {"id": schedule_id})
    if gone:
        await transaction.do(COUNT, {"more": -1})
    return bool(gone)


async def get(transaction: Transaction, schedule_id: str) -> tuple[Micros, Schedule | None]:
    """The time, and one schedule."""
    found: list[Row] = []
    if not cannot_be(schedule_id):
        found = await transaction.last(GET, {"id": schedule_id})
    await transaction.learn()
    return transaction.now, read(*found[0]) if found else None


async def schedules(transaction: Transaction, after: str, limit: int, room: int) -> list[Schedule]:
    """Schedules by id."""
    found = await transaction.last(BY_ID, {"after": after, "limit": limit})
    return list(within(room, (read(*row) for row in found), schedule_weight))


async def ticks(transaction: Transaction, schedule_id: str, limit: int) -> list[Tick]:
    """The newest ticks, the newest first."""
    if cannot_be(schedule_id):
        return []
    found = await transaction.last(NEWEST, {"id": schedule_id, "limit": limit})
    return [
        Tick(time, task_id, None if reason is None else Reason(reason))
        for time, task_id, reason in found
    ]


async def due(transaction: Transaction, limit: int, room: int) -> Due:
    """What is due, and when there is more."""
    found: list[Schedule] = []
    if limit:
        some = await transaction.rows(DUE, {"limit": limit})
        found = list(within(room, (read(*row) for row in some), schedule_weight))
    last = {"next": found[-1].next, "id": found[-1].id} if found else {"next": -1, "id": ""}
    later = await transaction.last(LATER, last)
    return Due(transaction.now, found, later[0][0] if later else None)


async def unended(transaction: Transaction, task_ids: Collection[str]) -> set[str]:
    """Which of these tasks are there and have not ended."""
    ids = sorted(name for name in task_ids if not cannot_be(name))
    return {row[0] for row in await transaction.last(UNENDED, {"ids": packed(ids)})}
