"""What decides whether tasks can start, for `unlost.limits.why`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from msgspec.structs import replace

from unlost.ledger.postgres.attempts import workers
from unlost.ledger.postgres.connection.pipeline import Answer
from unlost.ledger.postgres.connection.transaction import (
    NOW,
    Row,
    Transaction,
    cannot_be,
    packed,
)
from unlost.ledger.postgres.controls import controlling, pacing
from unlost.ledger.postgres.controls.controlling import RUNNING, controls
from unlost.ledger.postgres.tasks.reading import COLUMNS, NUMBER_OF_COLUMNS, OPEN_ROW, records
from unlost.limits.control import Claimant, Control, Rooms, Run
from unlost.limits.why import Alive, Facts, taken
from unlost.task import Record

SOME: Final = f"""
SELECT {COLUMNS}, it.alone FROM json_array_elements_text(%(ids)s::json) AS wanted (id)
CROSS JOIN LATERAL (SELECT * FROM unlost.task WHERE task.id = wanted.id OFFSET 0) AS task
{OPEN_ROW}
"""

KIND: Final = "token IS NULL AND alone = %(alone)s AND open_task.type = %(type)s"

# Rank by rank: what is not due yet has a place in the index before what is, of a later rank.
BEFORE: Final = f"""
WITH RECURSIVE upto (rank) AS (
  (SELECT rank FROM unlost.open_task WHERE {KIND} AND rank <= %(rank)s::smallint
   ORDER BY rank LIMIT 1)
  UNION ALL
  SELECT following.rank FROM upto CROSS JOIN LATERAL (
    SELECT rank FROM unlost.open_task WHERE {KIND} AND open_task.rank > upto.rank
      AND open_task.rank <= %(rank)s::smallint
    ORDER BY rank LIMIT 1) AS following
)
SELECT count(*) FILTER (WHERE %(any_key)s OR key IS NULL OR key = %(key)s::text) FROM (
  SELECT one.key FROM upto CROSS JOIN LATERAL (
    SELECT key FROM unlost.open_task
    WHERE {KIND} AND open_task.rank = upto.rank AND due_at <= {NOW}
      AND (open_task.rank, due_at, seq) < (%(rank)s::smallint, %(due_at)s::bigint, %(seq)s::bigint)
    ORDER BY due_at, seq LIMIT %(most)s) AS one
  LIMIT %(most)s) AS looked_at
"""

PARKED_BEFORE: Final = """
SELECT count(*) FROM (
  SELECT FROM unlost.open_task
  WHERE parked IS NOT NULL AND type = %(type)s AND key = %(key)s AND alone = %(alone)s
    AND (rank, parked, seq) < (%(rank)s::smallint, %(due_at)s::bigint, %(seq)s::bigint)
  ORDER BY rank, parked, seq LIMIT %(most)s) AS looked_at
"""

_Counts = list[Answer]


async def facts(
    transaction: Transaction, task_ids: Collection[str], most_before: int
) -> dict[str, Facts]:
    """What decides whether these tasks can start, in one snapshot."""
    known_ids = [task_id for task_id in task_ids if not cannot_be(task_id)]
    rows = await transaction.rows(SOME, {"ids": packed(known_ids)})
    tasks = await records(transaction, rows, ())
    known = {control.type: control for control in await controls(transaction)}
    running = [Run(*row) for row in await transaction.rows(RUNNING)] if known else []
    alive = tuple(one.alive for one in await workers.workers(transaction))
    stand_in = any(one.stand_in for one in alive)
    named = await controlling.named(transaction, Claimant.STAND_IN) if stand_in else []
    room = Rooms(known.values(), running, transaction.now)
    paced = [(task.type, key) for task in tasks for key in {None, task.key}]
    await pacing.know(transaction, room, paced)
    asked = [
        await _ask_before(transaction, task, row, known.get(task.type), most_before)
        for task, row in zip(tasks, rows, strict=True)
    ]
    found = {}
    for task, row, counts in zip(tasks, rows, asked, strict=True):
        before = sum([(await transaction.read(one))[0][0] for one in counts])
        fact = _facts(transaction, task, row, known, running, alive, before, room)
        waits = task.due_at is not None
        found[task.task_id] = replace(fact, named=waits and task.type in named)
    return found


def _facts(
    transaction: Transaction,
    task: Record,
    row: Row,
    known: dict[str, Control],
    running: list[Run],
    alive: tuple[Alive, ...],
    before: int,
    room: Rooms,
) -> Facts:
    if task.due_at is None:
        return Facts(task, transaction.now)
    control = known.get(task.type)
    alone = bool(row[NUMBER_OF_COLUMNS])
    of_type = taken(control, task.key, running)
    return Facts(
        task, transaction.now, alone, control, of_type, alive, before,
        room.free_at(task.type, None),
        None if task.key is None else room.free_at(task.type, task.key),
    )  # fmt: skip


async def _ask_before(
    transaction: Transaction, task: Record, row: Row, control: Control | None, most: int
) -> _Counts:
    """Of those of its kind that are due, how many come first, as far as `most` are looked at."""
    if task.due_at is None or not most:
        return []
    by_key = control is not None and control.by_key
    values: dict[str, Any] = {
        "alone": row[NUMBER_OF_COLUMNS], "type": task.type, "rank": -task.priority,
        "due_at": task.due_at, "seq": row[0], "key": task.key, "any_key": not by_key, "most": most,
    }  # fmt: skip
    asked = [await transaction.ask(BEFORE, values)]
    if by_key and task.key is not None:
        asked.append(await transaction.ask(PARKED_BEFORE, values))
    return asked
