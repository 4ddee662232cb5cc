"""Who comes next once there is room: tasks of a type that are due, for somebody to be told of."""

from __future__ import annotations

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.connection.indexes import existing, first_entries
from unlost.ledger.dynamodb.controls.slots import Rooms
from unlost.ledger.dynamodb.schema import DUE
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.task import Micros

ALL = 1_000
"""Tasks of each shard that are looked at to hint all of a type; the sweep finds others."""
FEW = 30
"""Tasks of each shard that are looked at to find the next one: 1 RCU a shard."""
READ = 10
"""Records that are read for it: some of them run, and the index does not tell."""


class NextDue(msgspec.Struct, frozen=True):
    """A task, when it is due, and its key's mark."""

    task_id: str
    due_at: Micros
    mark: str | None


async def all_due(calls: Calls, task_type: str, by: Micros) -> list[NextDue]:
    """The type's tasks that seem to be due by then."""
    return [_named(entry) for entry in await _due(calls, task_type, by, ALL)]


async def next_one(
    calls: Calls, rooms: Rooms, task_type: str, mark: str | None, now: Micros
) -> NextDue | None:
    """The best of the type's tasks that wait and have room; with `mark` of those with that key.

    One that comes late may be overlooked behind many of other types, or keys.
    """
    entries = await _due(calls, task_type, now, FEW)
    if not entries:
        return None
    await rooms.know([task_type])
    marks = [(schema.marked(entry["at"]), entry) for entry in entries]
    mine = [one for its, one in marks if mark in (None, its) and rooms.any(task_type, its)]
    mine.sort(key=lambda entry: (-entry["priority"], entry["due"]))
    tasks = await existing(calls, mine[:READ])
    for entry in mine[:READ]:
        stored = tasks.get(entry["pk"])
        if stored is not None and stored.claimable and (stored.due or 0) <= now:
            return _named(entry)
    return None


async def _due(calls: Calls, task_type: str, by: Micros, limit: int) -> list[Item]:
    entries = await first_entries(calls, DUE, limit)
    return [one for one in entries if one["type"] == task_type and int(one["due"]) <= by]


def _named(entry: Item) -> NextDue:
    task_id = schema.task_id(entry["pk"])
    return NextDue(task_id, int(entry["due"]), schema.marked(entry["at"]))
