"""What runs: found in the index, told by the records.

The index may lag on AWS by a second or so: what has just been claimed may not be found yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, together
from unlost.ledger.dynamodb.schema import HELD, LAST, LEASE, LOOK
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.dynamodb.tasks.listing import existing
from unlost.ledger.values import Held
from unlost.task import Micros


async def held_by(calls: Calls, worker: str, now: Micros) -> list[Held]:
    """The attempts that this enlisted worker runs."""
    found = await _look(calls, HELD, low=f"{worker}#", high=f"{worker}#{LAST}")
    running = await _running(calls, found)
    return [_held(stored, now) for stored in running if stored.worker == worker]


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
    return [_held(stored, now) for stored in running if not stored.lease_until]


async def overdue(calls: Calls, now: Micros) -> list[Held]:
    """The attempts whose own lease is over, as far as the sweep has met them."""
    found = await _look(calls, LEASE, high=f"{schema.moment(now)}#{LAST}")
    running = await _running(calls, found)
    return [_held(stored, now) for stored in running if (stored.lease_until or now + 1) <= now]


async def dropped(calls: Calls, tokens: Mapping[str, str]) -> list[str]:
    """Of these tokens (each with its task id), those that no longer run."""
    found = await reading.find_many(calls, tokens.values())
    return [
        token
        for token, task_id in tokens.items()
        if task_id not in found or found[task_id].token != token
    ]


async def _look(
    calls: Calls, of: str, *, low: str | None = None, high: str | None = None
) -> list[Item]:
    async def shard(name: str) -> list[Item]:
        pages = calls.walk(schema.partition(of, name), index=LOOK, low=low, high=high)
        return [item async for items in pages for item in items]

    found = await together(map(shard, schema.shard_names(await calls.shards())))
    return [item for items in found for item in items]


async def _running(calls: Calls, found: Iterable[Item]) -> list[Stored]:
    """Those of the tasks in these index entries that run."""
    tasks = await existing(calls, found)
    return [stored for stored in tasks.values() if stored.runs]


def _held(stored: Stored, now: Micros) -> Held:
    return Held(
        stored.task_id, stored.token or "", stored.worker or "", stored.spent,
        stored.max_retries or 0, stored.timeout or 0.0, (stored.deadline or 0) - now,
        stored.type, stored.carried,
    )  # fmt: skip
