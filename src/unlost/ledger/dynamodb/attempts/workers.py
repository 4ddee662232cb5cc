"""Workers: who may claim, what each one runs, and whose attempts may be reaped.

A worker's item: pk `workers`, sk its id; `until` the end of its lease, `types` the types that it
takes (none: every type; empty: it starts), `alone`, `slots`, `pull`, `standIn`.  One that claims by
the API has also its `owner` and its `claims` (see `pulling`).  Whoever has no item has no lease.

What runs is found in the index, which may lag on AWS by a second or so: what has just been claimed
may not be found yet.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.indexes import all_entries, existing, partitions
from unlost.ledger.dynamodb.connection.writes import Change, Delete, Put
from unlost.ledger.dynamodb.schema import HELD, LAST, LEASE, WORKERS
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import MOST_SHOWN, Enlisted, Held, Running, Worker
from unlost.limits.control import NAMED_FOR
from unlost.task import Micros

TRIES = 10


async def alive(calls: Calls, worker: str, now: Micros) -> bool:
    """Whether this worker may claim."""
    item = await calls.get((WORKERS, worker))
    return item is not None and item["until"] > now


async def enlisted(calls: Calls, now: Micros) -> list[Enlisted]:
    """The workers whose leases hold, by id, and what they run; reads each of those records.

    What functions run under leases of their own is nobody's here.
    """
    listed = await everybody(calls)
    running = await running_by_worker(calls)
    living = sorted(name for name, item in listed.items() if item["until"] > now)
    return [_enlisted(listed[name], running.get(name, [])) for name in living]


def _enlisted(item: Item, running: list[Stored]) -> Enlisted:
    types = None if item.get("types") is None else tuple(item["types"])
    shown = [
        Running(one.task_id, one.type, one.number, one.started_at or 0)
        for one in sorted(running, key=lambda one: (one.started_at or 0, one.task_id))
    ]
    worker = Worker(item["sk"], types, item.get("alone", False), item.get("slots"),
                    item.get("pull", False), item.get("standIn", False))  # fmt: skip
    return Enlisted(worker, item["until"], tuple(shown[:MOST_SHOWN]), len(shown))


async def everybody(calls: Calls) -> dict[str, Item]:
    """The items of all workers, by id, as they are now."""
    return {item["sk"]: item async for items in calls.walk(WORKERS) for item in items}


async def named(calls: Calls, now: Micros) -> set[str]:
    """The types that workers name which claim by the API."""
    items = (await everybody(calls)).values()
    return {name for item in items if _counts(item, now) for name in item.get("types") or ()}


def _counts(item: Item, now: Micros) -> bool:
    """Whether the types count that this worker has named: it claims by the API."""
    return bool(item.get("pull")) and item["until"] > now - NAMED_FOR


async def enlist(calls: Calls, worker: Worker, lease: Micros, now: Micros) -> None:
    """Let this worker claim, and strike off those that hold nothing and have been gone for a lease.

    1 WCU, and 1 for each that is struck off.
    """
    listed, over = await strike_off(calls, lease, now)
    if worker.id in over and await calls.get((WORKERS, worker.id)) is None:
        del listed[worker.id]
    if worker.starting and worker.id in listed:
        await _extend(calls, listed[worker.id], now + lease)
        return
    item = {
        "pk": WORKERS,
        "sk": worker.id,
        "until": now + lease,
        "types": None if worker.types is None else list(worker.types),
        "alone": worker.alone or None,
        "slots": worker.slots,
        "pull": worker.pull or None,
        "standIn": worker.stand_in or None,
        "op": secrets.token_hex(8),
    }
    try:
        await calls.write(Put(item, only_new=worker.starting))
    except Clash:
        return  # it has enlisted itself meanwhile


async def strike_off(calls: Calls, lease: Micros, now: Micros) -> tuple[dict[str, Item], list[str]]:
    """Strike off the workers that hold nothing and have been gone for a lease.

    Returns the items of all workers as they were, and whose leases have been over for so long.
    """
    listed = await everybody(calls)
    over = [name for name, item in listed.items() if item["until"] <= now - lease]
    await together(dismiss(calls, name, now, expired=True) for name in over)
    return listed, over


async def extend(calls: Calls, workers: Collection[str], lease: Micros, now: Micros) -> set[str]:
    """Extend leases, 1 WCU each; those of workers that were struck off stay so."""
    found = await calls.get_many((WORKERS, worker) for worker in workers)
    kept = await together(_extend(calls, item, now + lease) for item in found.values())
    return {name for (_, name), extended in zip(found, kept, strict=True) if extended}


async def _extend(calls: Calls, item: Item, until: Micros) -> bool:
    for _ in range(TRIES):
        try:
            await calls.write(Change(item, {**item, "until": until}))
            return True
        except Clash as clash:
            if clash.item is None:
                return False
            item = clash.item
    raise LedgerUnavailable(f"others change the worker {item['sk']} all the time")


async def dismiss(calls: Calls, worker: str, now: Micros, *, expired: bool) -> None:
    """Strike a worker off; with `expired` only one whose lease is over and that holds nothing.

    What it holds is looked for in an index, which may lag: what was overlooked is found as held
    by a worker without a lease.
    """
    if not expired:
        await calls.write(Delete((WORKERS, worker)))
        return
    item = await calls.get((WORKERS, worker))
    if (
        item is None
        or item["until"] > now
        or _counts(item, now)
        or await held_by(calls, worker, now)
    ):
        return
    try:
        await calls.write(Delete((WORKERS, worker), item["op"]))
    except Clash:
        return  # it lives after all


async def left_behind(calls: Calls, now: Micros) -> list[Held]:
    """The attempts whose lease is over: their worker's, or their own.

    Workers are read again after the attempts: who had just enlisted and claimed is alive.
    """
    listed = await everybody(calls)
    living = [name for name, item in listed.items() if item["until"] > now]
    found, own = await together([held_by_others(calls, living, now), own_lease_over(calls, now)])
    again = await calls.get_many((WORKERS, name) for name in {held.worker for held in found})
    alive_after_all = {sk for (_, sk), item in again.items() if item["until"] > now}
    return [held for held in found if held.worker not in alive_after_all] + own


async def held_by(calls: Calls, worker: str, now: Micros) -> list[Held]:
    """The attempts that this enlisted worker runs."""
    found = await _look(calls, HELD, low=f"{worker}#", high=f"{worker}#{LAST}")
    running = await _running(calls, found)
    return [held_as(stored, now) for stored in running if stored.worker == worker]


async def running_by_worker(calls: Calls) -> dict[str, list[Stored]]:
    """What each enlisted worker runs, as far as the index knows it."""
    found: dict[str, list[Stored]] = {}
    for stored in await _running(calls, await _look(calls, HELD)):
        if not stored.lease_until:
            found.setdefault(stored.worker or "", []).append(stored)
    return found


async def held_by_others(calls: Calls, workers: Iterable[str], now: Micros) -> list[Held]:
    """The attempts in the index of enlisted workers other than these."""
    known = tuple(f"{worker}#" for worker in workers)
    found = [item for item in await _look(calls, HELD) if not item["at"].startswith(known)]
    running = await _running(calls, found)
    return [held_as(stored, now) for stored in running if not stored.lease_until]


async def own_lease_over(calls: Calls, now: Micros) -> list[Held]:
    """The attempts whose own lease is over, as far as the sweep has met them."""
    found = await _look(calls, LEASE, high=schema.up_to(now))
    running = await _running(calls, found)
    return [held_as(stored, now) for stored in running if (stored.lease_until or now + 1) <= now]


async def dropped(calls: Calls, tokens: Mapping[str, str]) -> list[str]:
    """Of these tokens (each with its task id), those that no longer run."""
    found = await reading.find_many(calls, tokens.values())
    return [
        token
        for token, task_id in tokens.items()
        if task_id not in found or found[task_id].token != token
    ]


async def _look(calls: Calls, of: str, **span: str) -> list[Item]:
    return await all_entries(calls, await partitions(calls, of), **span)


async def _running(calls: Calls, found: Iterable[Item]) -> list[Stored]:
    """Those of the tasks in these index entries that run."""
    tasks = await existing(calls, found)
    return [stored for stored in tasks.values() if stored.runs]


def held_as(stored: Stored, now: Micros) -> Held:
    return Held(
        stored.task_id, stored.token or "", stored.worker or "", stored.spent,
        stored.max_retries or 0, stored.timeout or 0.0, (stored.deadline or 0) - now,
        stored.type, stored.number, stored.carried, stored.excused,
    )  # fmt: skip
