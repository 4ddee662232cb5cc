"""Which tasks followed from a task: an item beside the parent's record names them, 40 at most."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from unlost import carried
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.writes import Change, Put
from unlost.ledger.dynamodb.stored import items
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.protocol import LedgerUnavailable
from unlost.task import Record

TRIES = 50


async def follow_ups(calls: Calls, parent: str) -> list[Stored]:
    """The tasks that followed from this one, newest first."""
    item = await calls.get(schema.follow_ups_key(parent))
    if item is None:
        return []
    found = await reading.find_many(calls, item["ids"])
    return sorted(found.values(), key=lambda stored: stored.position, reverse=True)


async def keep(calls: Calls, tasks: Iterable[Record]) -> None:
    """Enter those of these tasks that have a parent; again, it changes nothing."""
    families: dict[str, set[str]] = {}
    for task in tasks:
        if (parent := carried.parent(task.carried)) is not None:
            families.setdefault(parent, set()).add(task.task_id)
    await together(_keep(calls, *family) for family in families.items())


async def _keep(calls: Calls, parent: str, more: Collection[str]) -> None:
    for _ in range(TRIES):
        there = await calls.get(schema.follow_ups_key(parent))
        known = set(there["ids"]) if there is not None else set[str]()
        if known.issuperset(more):
            return
        item = items.follow_ups_item(parent, known | {*more})
        try:
            if there is None:
                await calls.write(Put(item, only_new=True))
            else:
                await calls.write(Change(there, {**there, **item}))
        except Clash:
            continue
        return
    raise LedgerUnavailable(f"others change the family of the task {parent} all the time")
