"""Effects of which handlers say that they have happened, whether their attempts run or not.

An effect is an item of its own, written once: 1 WCU, and a read of its task's record.  They lie
apart from their tasks, in one partition a shard, so that they are found without a look at the
tasks.  Where the table has none, a reader of tasks (audit, export, purge) finds that out with 1 RCU
for each shard, and asks no task for its own; else each costs 1 RCU and more by what it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unlost.effects import Effect
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.writes import Put
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.protocol import BadCursor
from unlost.ledger.values import Declared, EffectPage, NewEffect
from unlost.task import Micros


async def declare(calls: Calls, new: Sequence[NewEffect], now: Micros) -> None:
    """Record effects; what is recorded already stays as it is."""
    shards = await calls.shards()
    tasks = {one.task_id: one for one in new}
    there = await calls.get_many(map(schema.task_key, tasks))
    items = [
        effect_item(one.task_id, shards, Effect(one.attempt, one.turn, one.name, now))
        for one in new
        if (task := there.get(schema.task_key(one.task_id))) and "purged_at" not in task
    ]
    await together(_put(calls, item) for item in items)


async def _put(calls: Calls, item: Item) -> None:
    try:
        await calls.write(Put(item, only_new=True))
    except Clash:
        return


def effect_item(task_id: str, shards: int, effect: Effect) -> Item:
    """An effect as it is kept."""
    place = f"{schema.key_mark(task_id)}#{effect.attempt:06}#{effect.turn:06}"
    return {
        "pk": schema.declared_pk(schema.shard(task_id, shards)),
        "sk": place,
        "task_id": task_id,
        "attempt": effect.attempt,
        "turn": effect.turn,
        "name": effect.name,
        "recorded_at": effect.at,
    }


def _effect(item: Item) -> Effect:
    return Effect(item["attempt"], item["turn"], item["name"], item["recorded_at"])


async def there_are(calls: Calls) -> bool:
    """Whether the table has any."""
    names = schema.shard_names(await calls.shards())
    pages = await together(calls.page(schema.declared_pk(name), limit=1) for name in names)
    return any(items for items, _ in pages)


async def of_many(calls: Calls, tasks: Iterable[Stored]) -> dict[str, tuple[Effect, ...]]:
    """The effects of those of these tasks that have any, by attempt and turn; without those of
    attempts that began after the record was read."""
    if not await there_are(calls):
        return {}
    some = list(tasks)
    found = await together(items_of(calls, stored) for stored in some)
    return {
        stored.task_id: tuple(
            effect for effect in map(_effect, items) if effect.attempt <= stored.number
        )
        for stored, items in zip(some, found, strict=True)
        if items
    }


async def items_of(calls: Calls, stored: Stored) -> list[Item]:
    """The items of a task's effects."""
    mark = schema.key_mark(stored.task_id)
    walk = calls.walk(
        schema.declared_pk(stored.shard), low=f"{mark}#", high=f"{mark}#{schema.LAST}"
    )
    return [item async for page in walk for item in page if item["task_id"] == stored.task_id]


async def page(calls: Calls, cursor: str | None, limit: int) -> EffectPage:
    """A page of all, shard by shard.  Raises BadCursor."""
    names = schema.shard_names(await calls.shards())
    shard, after = _place(cursor, names)
    found: list[Item] = []
    for name in names[names.index(shard) :]:
        low = after if name == shard and after else None
        room = limit - len(found) + (low is not None)
        items, more = await calls.page(schema.declared_pk(name), low=low, limit=room)
        found += [item for item in items if item["sk"] != low]
        if more is not None or (len(found) >= limit and name != names[-1]):
            return EffectPage([*map(_declared, found)], f"{name}#{items[-1]['sk']}")
    return EffectPage([*map(_declared, found)], None)


def _declared(item: Item) -> Declared:
    return Declared(item["task_id"], _effect(item))


def _place(cursor: str | None, names: Sequence[str]) -> tuple[str, str]:
    """The shard and the sort key after which a page begins."""
    if cursor is None:
        return names[0], ""
    shard, _, after = cursor.partition("#")
    if shard not in names or after.count("#") != 2:
        raise BadCursor(cursor)
    return shard, after
