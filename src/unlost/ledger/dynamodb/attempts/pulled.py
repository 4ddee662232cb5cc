"""What workers that claim by the API hold: their leases, what runs, and whose time is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.attempts import workers
from unlost.ledger.dynamodb.attempts.claiming import Wish, ready
from unlost.ledger.dynamodb.connection.calls import Calls, Clash
from unlost.ledger.dynamodb.connection.indexes import (
    all_entries,
    existing,
    first_entries,
    partitions,
)
from unlost.ledger.dynamodb.connection.writes import Change
from unlost.ledger.dynamodb.controls import slots
from unlost.ledger.dynamodb.controls.slots import Rooms
from unlost.ledger.dynamodb.schema import DUE, HELD, WORKERS
from unlost.ledger.dynamodb.stored.record import looked_at
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.protocol import AnothersWorker, LeaseOver, LedgerUnavailable
from unlost.ledger.values import PULLED, Held
from unlost.task import Micros

TRIES: Final = 20
"""How often other calls of a worker may be quicker."""

LOOKED_AT: Final = 1_000
"""Entries of each shard of `due` that are looked at for what runs alone."""


async def prolong(calls: Calls, worker: str, owner: str, lease: Micros, now: Micros) -> None:
    """Let the worker's lease end in `lease` from now; 1 WCU.  Raises LeaseOver, AnothersWorker."""
    for _ in range(TRIES):
        item = await calls.get((WORKERS, worker))
        if item is not None and item.get("owner") != owner:
            raise AnothersWorker(worker)
        if item is None or item["until"] <= now:
            raise LeaseOver(worker)
        try:
            await calls.write(Change(item, {**item, "until": now + lease}))
        except Clash:
            continue
        return
    raise LedgerUnavailable(f"others change the worker {worker} all the time")


async def standing(calls: Calls, tokens: Mapping[str, str], now: Micros) -> dict[str, str]:
    """The tokens whose attempts run in time, and their workers; 1 RCU for each 4 KiB of records."""
    tasks = await reading.find_many(calls, tokens.values())
    found = {}
    for token, task_id in tokens.items():
        stored = tasks.get(task_id)
        if stored is not None and stored.token == token and (stored.deadline or 0) > now:
            found[token] = stored.worker or ""
    return found


async def lone(calls: Calls, rooms: Rooms, now: Micros) -> dict[str, Micros]:
    """For how long tasks have been due that must run alone and have room, by type, as far as they
    are among the first `LOOKED_AT` of their shard."""
    wish = Wish(None, True, rooms)
    high = schema.up_to(looked_at(now))
    entries = await first_entries(calls, DUE, LOOKED_AT, high)
    suited = [one for one in entries if one["due"] <= now and wish.meets(one)]
    tasks = [one for one in (await existing(calls, suited)).values() if ready(one, wish, now)]
    await rooms.know(one.type for one in tasks)
    await rooms.know_keys((one.type, slots.mark(one)) for one in tasks)
    found: dict[str, Micros] = {}
    for stored in tasks:
        if rooms.any(stored.type, slots.mark(stored)):
            found[stored.type] = max(found.get(stored.type, 0), now - (stored.due or 0))
    return found


async def overtime(calls: Calls, now: Micros) -> list[Held]:
    """The pulled attempts that run, and whose time is over; 1 RCU for some sixty that run."""
    entries = await all_entries(calls, await partitions(calls, HELD))
    late = [entry for entry in entries if _is_late(entry["at"], now)]
    tasks = (await existing(calls, late)).values()
    return [
        workers.held_as(stored, now)
        for stored in tasks
        if (stored.token or "").startswith(PULLED) and (stored.deadline or 0) <= now
    ]


def _is_late(at: str, now: Micros) -> bool:
    _, token, *deadline = at.split("#")
    return token.startswith(PULLED) and bool(deadline) and deadline[0] <= schema.moment(now)
