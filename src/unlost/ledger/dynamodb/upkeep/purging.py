"""Purging: what age takes from tasks that are over.

No index says how old a task is, so the list of submissions is walked, with two marks in it.  The
`front` goes forward with time: what was submitted before it was looked at once, and most of it
was purged then.  The `back` goes round behind it slowly, for what was not yet over, or not yet
old enough, when the front went by.  Looking at a task costs 1 RCU and more by its size; purging
it 1 WCU by its size, and 2 for it and for each item beside it where it has any.  Where these are
too many for one transaction the record is changed twice, before they go and after, and each of
them costs 1: a purge that is cut off between goes on there the next time.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, together
from unlost.ledger.dynamodb.connection.faults import Clash
from unlost.ledger.dynamodb.connection.indexes import Stretch, existing, merged, partitions
from unlost.ledger.dynamodb.connection.writes import Change, Delete, Put
from unlost.ledger.dynamodb.dead_letters.reporting import unreported
from unlost.ledger.dynamodb.effects import declaring
from unlost.ledger.dynamodb.schema import SUBMITTED, Key
from unlost.ledger.dynamodb.stored.positions import first_position
from unlost.ledger.dynamodb.stored.record import Stored, written
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks.reading import all_step_items, step_items
from unlost.task import Micros, State

MARKS = ("config", "purge")

FRONT = 2_000
"""Tasks that one call looks at beyond the front, at most."""
BACK = 200
"""Tasks that one call looks at again behind it, at most."""

TOGETHER = 50
"""Items beside a record that are removed in one transaction with its change."""


class _Seen(msgspec.Struct, frozen=True):
    """A stretch that was looked at: what may be purged, up to where, whether that is its end."""

    old: list[Stored]
    reached: int
    at_end: bool


async def purge(calls: Calls, before: Micros, limit: int, now: Micros) -> int:
    """Remove payload, result, attempts, steps and declared effects of tasks that are over, oldest
    first; how many.

    Of each task all or nothing.  The marks move on only when all that was found is purged.
    """
    marks = await calls.get(MARKS) or {}
    front, back = int(marks.get("front", "0")), int(marks.get("back", "0"))
    ahead = await _look(calls, front, first_position(before), FRONT, before)
    behind = await _look(calls, back, front, BACK, before)
    old = sorted([*ahead.old, *behind.old], key=lambda stored: stored.updated_at)
    old = await _reported(calls, old)
    declared = bool(old) and await declaring.there_are(calls)
    done = await together(_purge(calls, stored, now, declared=declared) for stored in old[:limit])
    if len(old) <= limit:
        pk, sk = MARKS
        back = 0 if behind.at_end else behind.reached
        await calls.write(
            Put({"pk": pk, "sk": sk, "front": str(max(front, ahead.reached)), "back": str(back)})
        )
    return sum(done)


async def _look(calls: Calls, after: int, end: int, most: int, before: Micros) -> _Seen:
    """Look at tasks with a position from `after` to below `end`."""
    walk = Stretch(SUBMITTED, "at_submitted", schema.place(after), schema.place(max(end - 1, 0)))
    old: list[Stored] = []
    looked = 0
    async for batch in merged(calls, await partitions(calls), walk, most):
        some = batch[: most - looked]
        tasks = await existing(calls, some)
        old += [stored for stored in tasks.values() if _purgeable(stored, before)]
        looked += len(some)
        if looked == most:
            return _Seen(old, int(some[-1]["at_submitted"]) + 1, at_end=False)
    return _Seen(old, end, at_end=True)


def _purgeable(stored: Stored, before: Micros) -> bool:
    return (
        stored.state in (State.SUCCEEDED, State.CANCELLED)
        and (stored.purged_at is None or stored.leftover)
        and stored.updated_at < before
    )


async def _reported(calls: Calls, old: list[Stored]) -> list[Stored]:
    """Without those that died and whose death is still to be reported: its report needs them."""
    shards = {stored.shard for stored in old if stored.acts}  # who died and is over was acted on
    waiting = {report["task_id"] for report in await unreported(calls, shards)}
    return [stored for stored in old if stored.task_id not in waiting]


async def _purge(calls: Calls, stored: Stored, now: Micros, *, declared: bool) -> bool:
    """Purge one task, which may have `declared` effects; False if it has changed meanwhile."""
    effects = _keys(await declaring.items_of(calls, stored)) if declared else []
    try:
        if stored.leftover:
            await _finish(calls, stored, [*await _all_beside(calls, stored), *effects])
        else:
            await _purge_whole(calls, stored, now, effects)
    except Clash:
        return False
    return True


async def _purge_whole(calls: Calls, stored: Stored, now: Micros, effects: list[Key]) -> None:
    """Purge one of which nothing is gone yet.  Raises Clash."""
    keys = [*_beside(stored), *_keys(await step_items(calls, stored)), *effects]
    purged = replace(
        stored,
        payload=None,
        payload_from=None,
        result=None,
        result_apart=False,
        started_at=None,
        finished_at=None,
        error=None,
        purged_at=now,
        standing=None,
        step_bytes=None,
        forgot=None,
        effect_key=None,
    )
    if len(keys) <= TOGETHER:
        change = Change(written(stored), written(purged))
        await calls.write_together([change, *map(Delete, keys)])
        return
    purged = replace(purged, leftover=True)
    await calls.write(Change(written(stored), written(purged)))
    await _finish(calls, purged, keys)


async def _finish(calls: Calls, purged: Stored, keys: list[Key]) -> None:
    """Remove what lay beside a record that is purged, then say so.  Raises Clash."""
    await calls.delete_many(keys)
    await calls.write(Change(written(purged), written(replace(purged, leftover=False))))


async def _all_beside(calls: Calls, stored: Stored) -> list[Key]:
    """All that may have lain beside a record that is purged, which no longer says what did."""
    task_id = stored.task_id
    return [
        *(schema.attempt_key(task_id, number + 1) for number in range(stored.number)),
        *(schema.payload_key(task_id, n) for n in range(stored.redrive_count + 1)),
        schema.result_key(task_id),
        *_keys(await all_step_items(calls, stored)),
    ]


def _keys(items: list[Item]) -> list[Key]:
    return [(item["pk"], item["sk"]) for item in items]


def _beside(stored: Stored) -> list[Key]:
    """The items beside the record that a purge removes, and some that may not be there."""
    task_id = stored.task_id
    keys = [schema.attempt_key(task_id, number + 1) for number in range(stored.apart)]
    if stored.payload_from is not None or stored.redrive_count:
        keys += [schema.payload_key(task_id, n) for n in range(stored.redrive_count + 1)]
    if stored.result_apart:
        keys.append(schema.result_key(task_id))
    return keys
