"""Schedules (`Schedule`), one row each, and their newest ticks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec.structs import replace

from unlost.ledger.postgres.connection.transaction import (
    NOW,
    Row,
    Transaction,
    cannot_be,
    packed,
)
from unlost.ledger.postgres.tasks.submitting import refuse_what_cannot_be, submit_first
from unlost.ledger.weight import EACH, within
from unlost.schedule.schedule import KEPT_TICKS, MOST, Due, Move, Moved, Reason, Schedule, Tick
from unlost.schedule.stored import read, written
from unlost.task import Micros

AT_ONCE: Final = 500
"""Steps of one transaction.  Nobody but other schedulers waits for it."""

COLUMNS: Final = "schedule, payload"

SIZE: Final = f"{EACH} + octet_length(payload)"

# Whoever makes or drops one waits for the others here, before a row of `schedule` is locked.
NUMBER: Final = """
INSERT INTO unlost.schedules AS it (number) VALUES (0)
ON CONFLICT (one) DO UPDATE SET number = it.number RETURNING number
"""

COUNT: Final = "UPDATE unlost.schedules SET number = number + %(more)s WHERE one"

LOCK: Final = """
SELECT known.id, known.revision, known.place
FROM json_array_elements_text(%(ids)s::json) AS wanted (id)
CROSS JOIN LATERAL (
  SELECT id, revision, ctid AS place FROM unlost.schedule AS it
  WHERE it.id BETWEEN wanted.id AND wanted.id ORDER BY it.id LIMIT 1 FOR UPDATE) AS known
"""

INSERT: Final = """
INSERT INTO unlost.schedule (id, next, revision, schedule, payload)
SELECT id, next, revision, schedule, payload
FROM json_to_recordset(%(items)s::json) AS item (
  id text, next bigint, revision bigint, schedule text, payload text)
ORDER BY id COLLATE "C" ON CONFLICT (id) DO NOTHING RETURNING id, ctid
"""

# By their places (see `lookup`): who moves or drops a schedule holds its lock.
MOVE: Final = """
UPDATE unlost.schedule AS it SET next = item.next, revision = item.revision,
  schedule = item.schedule, payload = coalesce(item.payload, it.payload)
FROM json_to_recordset(%(items)s::json) AS item (
  place tid, next bigint, revision bigint, schedule text, payload text)
WHERE it.ctid = item.place
"""

TICKS: Final = """
INSERT INTO unlost.tick (schedule, number, time, task, reason)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (
  schedule text, number integer, time bigint, task text, reason text)
"""

FORGET: Final = """
DELETE FROM unlost.tick WHERE ctid = ANY (ARRAY(
  SELECT old.place FROM json_to_recordset(%(items)s::json) AS item (id text, number integer)
  CROSS JOIN LATERAL (
    SELECT ctid AS place FROM unlost.tick AS it
    WHERE it.schedule BETWEEN item.id AND item.id AND it.number <= item.number
    ORDER BY it.schedule, it.number OFFSET 0) AS old))
"""

# Dropped in three statements, each of which sees what was committed before it: a step that holds
# the row is waited for, and its ticks are there for the next statement.
HOLD: Final = "SELECT 1 FROM unlost.schedule WHERE id = %(id)s FOR UPDATE"

DROP_TICKS: Final = "DELETE FROM unlost.tick WHERE schedule = %(id)s"

DROP: Final = "DELETE FROM unlost.schedule WHERE id = %(id)s"

GET: Final = f"SELECT {COLUMNS} FROM unlost.schedule WHERE id = %(id)s"

_BY_ID: Final = """
SELECT {columns} FROM unlost.schedule WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""
BY_ID: Final = _BY_ID.format(columns=COLUMNS)
BARE_BY_ID: Final = _BY_ID.format(columns="schedule, ''")

# How many may be read at once, before any payload is: their lengths are told without reading them.
SIZES_BY_ID: Final = _BY_ID.format(columns=SIZE)

NEWEST: Final = """
SELECT time, task, reason FROM unlost.tick
WHERE schedule = %(id)s ORDER BY schedule, number DESC LIMIT %(limit)s
"""

_DUE: Final = f"""
SELECT {{columns}} FROM unlost.schedule WHERE next <= {NOW} ORDER BY next, id LIMIT %(limit)s
"""
DUE: Final = _DUE.format(columns=COLUMNS)
SIZES_DUE: Final = _DUE.format(columns=SIZE)

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
    """A schedule as INSERT and MOVE take it.

    MOVE goes by its place; the payload is left out there where it stays.
    """

    id: str
    next: Micros | None
    revision: int
    schedule: str
    payload: str | None
    place: str | None = None


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
    known = await _locked(transaction, moves)
    results: dict[int, Moved] = {}
    while len(results) < len(moves):
        left = [turn for turn in range(len(moves)) if turn not in results]
        first = {moves[turn].schedule.id: turn for turn in reversed(left)}
        holding = []
        for turn in sorted(first.values()):
            if known.revisions.get(moves[turn].schedule.id, 0) == moves[turn].expected:
                holding.append(turn)
            else:
                results[turn] = Moved.STALE
        results |= await _take(transaction, known, {turn: moves[turn] for turn in holding})
        for turn in holding:
            if results[turn] is Moved.DONE:
                known.revisions[moves[turn].schedule.id] = moves[turn].schedule.revision
    done = [one for turn, one in enumerate(moves) if results[turn] is Moved.DONE]
    await _keep(transaction, known, done)
    return [results[turn] for turn in range(len(moves))]


@dataclass
class _Known:
    """Schedules by id, whose rows nobody else changes until the commit."""

    revisions: dict[str, int] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


async def _locked(transaction: Transaction, moves: Sequence[Move]) -> _Known:
    if any(not one.expected for one in moves):
        await transaction.do(NUMBER)
    ids = sorted({one.schedule.id for one in moves})
    known = _Known()
    for name, revision, place in await transaction.rows(LOCK, {"ids": packed(ids)}):
        known.revisions[name], known.places[name] = revision, place
    return known


async def _take(
    transaction: Transaction, known: _Known, moves: dict[int, Move]
) -> dict[int, Moved]:
    """Make the new schedules, and submit the tasks: what became of each step."""
    results = dict.fromkeys(moves, Moved.DONE)
    new = {one.schedule.id: turn for turn, one in moves.items() if not one.expected}
    if new:
        [(number,)] = await transaction.rows(NUMBER)
        for name in list(new)[max(0, MOST - number) :]:
            results[new.pop(name)] = Moved.FULL
    if new:
        items = [_item(moves[turn]) for turn in new.values()]
        made: dict[str, str] = dict(await transaction.rows(INSERT, {"items": packed(items)}))
        await transaction.do(COUNT, {"more": len(made)})
        results |= {turn: Moved.STALE for name, turn in new.items() if name not in made}
        known.places |= made
    tasks = [(turn, one.task) for turn, one in moves.items() if one.task is not None]
    if tasks:
        stored = await submit_first(transaction, [task for _, task in tasks])
        for place, (turn, _) in enumerate(tasks):
            if place not in stored:
                results[turn] = Moved.TAKEN
    return results


async def _keep(transaction: Transaction, known: _Known, done: Sequence[Move]) -> None:
    """Keep the schedules as the last of their steps leave them, with the ticks of all of these."""
    last = {one.schedule.id: one for one in done}
    plans = {one.schedule.id for one in done if one.new_plan}
    items = [
        replace(_item(one, with_payload=name in plans), place=known.places[name])
        for name, one in last.items()
        if one.expected
    ]
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
        if one.ticks and one.schedule.due > KEPT_TICKS
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
    if not await transaction.rows(HOLD, {"id": schedule_id}):
        return False
    await transaction.do(DROP_TICKS, {"id": schedule_id})
    await transaction.do(DROP, {"id": schedule_id})
    await transaction.do(COUNT, {"more": -1})
    return True


async def get(transaction: Transaction, schedule_id: str) -> tuple[Micros, Schedule | None]:
    """The time, and one schedule."""
    found: list[Row] = []
    if not cannot_be(schedule_id):
        found = await transaction.last(GET, {"id": schedule_id})
    await transaction.learn()
    return transaction.now, read(*found[0]) if found else None


async def schedules(
    transaction: Transaction, after: str, limit: int, room: int, *, payloads: bool = True
) -> list[Schedule]:
    """Schedules by id."""
    if not payloads:
        most = min(limit, max(1, -(-room // EACH)))
        found = await transaction.last(BARE_BY_ID, {"after": after, "limit": most})
        return [read(*row) for row in found]
    sizes = await transaction.rows(SIZES_BY_ID, {"after": after, "limit": limit})
    if not sizes:
        return []
    fitting = {"after": after, "limit": _fitting(sizes, room)}
    return [read(*row) for row in await transaction.last(BY_ID, fitting)]


def _fitting(sizes: Sequence[Row], room: int) -> int:
    """How many of the first of these weigh `room` or just more."""
    return sum(1 for _ in within(room, sizes, lambda row: row[0]))


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
        sizes = await transaction.rows(SIZES_DUE, {"limit": limit})
        if sizes:
            some = await transaction.rows(DUE, {"limit": _fitting(sizes, room)})
            found = [read(*row) for row in some]
    last = {"next": found[-1].next, "id": found[-1].id} if found else {"next": -1, "id": ""}
    later = await transaction.last(LATER, last)
    return Due(transaction.now, found, later[0][0] if later else None)


async def unended(transaction: Transaction, task_ids: Collection[str]) -> set[str]:
    """Which of these tasks are there and have not ended."""
    ids = sorted(name for name in task_ids if not cannot_be(name))
    return {row[0] for row in await transaction.last(UNENDED, {"ids": packed(ids)})}
