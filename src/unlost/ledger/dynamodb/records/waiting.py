"""What waits now: since when, and for whom nobody takes it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from unlost.ledger.dynamodb.connection.calls import GET_AT_ONCE, Calls
from unlost.ledger.dynamodb.connection.indexes import existing, first_entries
from unlost.ledger.dynamodb.schema import DUE, WORKERS
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.unserved import Served, unserved
from unlost.task import Micros

LOOKED_AT = 1_000
"""Entries of each shard that are looked at: beyond, what is said is of those that are sooner to
be looked at."""
READ = 1_000
"""Records that are read at most, to tell what waits from what runs under a lease of its own."""


class Waiting(msgspec.Struct, frozen=True):
    """The oldest due time of what waits, the types that wait with nobody to take them, and how
    many workers are alive."""

    oldest_due: Micros | None
    unhandled: tuple[str, ...]
    workers: int


async def waiting(
    calls: Calls, paused: frozenset[str], pulled: frozenset[str], now: Micros
) -> Waiting:
    """What waits and is due, and not paused, as the index knows it, within a budget.

    Reads up to 1,000 index entries of each shard (1 RCU for some sixty) and a few records.
    """
    entries = await first_entries(calls, DUE, LOOKED_AT)
    due = [one for one in entries if one["due"] <= now and one["type"] not in paused]
    since = await _since(calls, sorted(due, key=_due), now)
    taken = await _taken(calls, now)
    workers = sum(types != [] for types, _ in taken)
    return Waiting(min(since.values(), default=None), unserved(since, taken, pulled), workers)


def _due(entry: Item) -> Micros:
    return int(entry["due"])


async def _since(calls: Calls, due: Sequence[Item], now: Micros) -> dict[str, Micros]:
    """The types that wait, each with its oldest due time; `due` is oldest first."""
    since: dict[str, Micros] = {}
    left, read = due, 0
    while left and read < READ:
        some, left = left[:GET_AT_ONCE], left[GET_AT_ONCE:]
        tasks = await existing(calls, some)
        read += len(some)
        for entry in some:
            stored = tasks.get(entry["pk"])
            if stored is not None and stored.claimable and (stored.due or 0) <= now:
                since.setdefault(stored.type, stored.due or 0)
        left = [entry for entry in left if entry["type"] not in since]
    return since


async def _taken(calls: Calls, now: Micros) -> list[Served]:
    """What each living worker serves."""
    return [
        (worker.get("types"), worker.get("pull", False))
        async for workers in calls.walk(WORKERS)
        for worker in workers
        if worker["until"] > now and not worker.get("alone")
    ]
