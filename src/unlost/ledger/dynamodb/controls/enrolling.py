"""Enrolling: attempts that run already take the slots of a limit that is set now.

And slots whose attempt is over are given back: no process leaves one, but one of an older version
that knows no slots, or somebody's own edit, may.
"""

from __future__ import annotations

from contextlib import suppress

from msgspec.structs import replace

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.indexes import (
    all_entries,
    existing,
    first_entries,
    partitions,
)
from unlost.ledger.dynamodb.connection.writes import Delete
from unlost.ledger.dynamodb.controls import slots
from unlost.ledger.dynamodb.controls.slots import Room
from unlost.ledger.dynamodb.schema import DUE, HELD, LEASE
from unlost.ledger.dynamodb.steps import Step, write
from unlost.ledger.dynamodb.stored.record import Stored, read
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.protocol import LedgerUnavailable
from unlost.limits.control import Control
from unlost.task import Micros

LOOKED_AT = 1_000
"""Entries of each shard of `due` that are looked at for what runs under a lease of its own."""

TRIES = 50


async def enrol(calls: Calls, control: Control, now: Micros) -> None:
    """Have what runs of a type count for its limits, 6 WCU an attempt.

    Overlooked is what was started by a process that does not know the limit yet, and what runs
    under a lease of its own with more than `LOOKED_AT` tasks of its shard before it.
    """
    await _mend(calls, control.type)
    tasks = await existing(calls, await _entries(calls, control.type))
    room = await slots.read(calls, replace(control, pause=None, breaker=None), now)
    for stored in tasks.values():
        await _enrol(calls, stored, control, room)


async def _mend(calls: Calls, task_type: str) -> None:
    """The records are read after the slots: a slot of another attempt than the record's is over."""
    found = [item async for items in calls.walk(schema.slots_pk(task_type)) for item in items]
    tasks = await reading.find_many(calls, (item["task_id"] for item in found))
    for item in found:
        stored = tasks.get(item["task_id"])
        if stored is None or stored.token != item["token"]:
            with suppress(Clash):  # it was given back meanwhile
                await calls.write(Delete((item["pk"], item["sk"]), item["op"]))


async def _entries(calls: Calls, task_type: str) -> list[Item]:
    """Where attempts of the type may be running, by the index."""
    places = [*await partitions(calls, HELD), *await partitions(calls, LEASE)]
    found = await together([all_entries(calls, places), first_entries(calls, DUE, LOOKED_AT)])
    return [entry for entries in found for entry in entries if entry["type"] == task_type]


async def _enrol(calls: Calls, stored: Stored, control: Control, room: Room) -> None:
    for _ in range(TRIES):
        mark = slots.mark(stored)
        wanted = [slots.OF_TYPE] if control.limit is not None else []
        wanted += [slots.of_key(mark)] if mark and control.key_limit is not None else []
        missing = set(wanted) - {slots.group(one) for one in stored.slots}
        if not stored.runs or stored.type != control.type or not missing:
            return
        more = [room.beyond(name) for name in sorted(missing)]
        new = replace(stored, slots=(*stored.slots, *more))
        try:
            await write(calls, stored, Step(new, also=tuple(slots.put(new, more))))
            return
        except Clash as clash:
            if clash.index > 0:
                continue  # the next number is tried
            if clash.item is None:
                return
            stored = read(clash.item)
    raise LedgerUnavailable(f"others change the task {stored.task_id} all the time")
