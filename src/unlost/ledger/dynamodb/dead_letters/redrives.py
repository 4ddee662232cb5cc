"""Redrives: begun, listed, stopped; what a step of one does is in `stepping`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from unlost.ledger.dynamodb.connection.calls import Calls, together
from unlost.ledger.dynamodb.connection.faults import Clash
from unlost.ledger.dynamodb.connection.writes import Change, Delete, Put, Write
from unlost.ledger.dynamodb.schema import OPEN_REDRIVES, REDRIVES, redrive_key
from unlost.ledger.dynamodb.stored import redrives as stored
from unlost.ledger.dynamodb.stored.redrives import Kept
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.protocol import LedgerUnavailable, UnknownRedrive
from unlost.ledger.values import RedriveCopy, RedrivePlace, RedriveQuery
from unlost.redrive import Named, Redrive, RedriveState, begun, moved, stopped
from unlost.task import Micros

TRIES = 20
AT_ONCE = 90
"""Items of one transaction, which may have 100, beside those of the redrive itself."""


async def find(calls: Calls, redrive_id: str) -> Kept | None:
    """The redrive as it is now."""
    item = await calls.get(redrive_key(redrive_id))
    return None if item is None else stored.kept(item)


async def must_find(calls: Calls, redrive_id: str) -> Kept:
    """The same.  Raises UnknownRedrive."""
    kept = await find(calls, redrive_id)
    if kept is None:
        raise UnknownRedrive(redrive_id)
    return kept


async def named(calls: Calls, redrive_id: str) -> Named:
    """What it was begun with that may be large."""
    return stored.named_of(await _beside(calls, redrive_id, "named#"))


async def under_way(calls: Calls, redrive_id: str) -> list[Item]:
    """The items of its letters that are under way."""
    return await _beside(calls, redrive_id, "w#")


async def _beside(calls: Calls, redrive_id: str, prefix: str) -> list[Item]:
    pk, _ = redrive_key(redrive_id)
    walk = calls.walk(pk, low=prefix, high=f"{prefix}\U0010ffff")
    return [item async for items in walk for item in items]


def begins(redrive: Redrive, named: Named) -> list[Write]:
    """What is written as a redrive begins, its own item first."""
    beside = [Put(stored.listed(redrive)), *map(Put, stored.pieces_of(redrive.id, named))]
    opened = [Put({"pk": OPEN_REDRIVES, "sk": stored.listed(redrive)["sk"]})]
    return [Put(stored.item_of(redrive), only_new=True), *beside, *opened[: redrive.open]]


def changes(before: Kept, after: Redrive) -> list[Write]:
    """What is written as a redrive changes, its own item first; nothing where it is the same."""
    if after == before.redrive:
        return []
    found: list[Write] = [Change(before.item, {**before.item, **stored.item_of(after)})]
    entry = stored.listed(after)
    if entry != stored.listed(before.redrive):
        found.append(Put(entry))
    return found if after.open else [*found, Delete((OPEN_REDRIVES, entry["sk"]))]


async def add(calls: Calls, new: Redrive, named: Named, now: Micros) -> tuple[Redrive, bool]:
    """Begin a redrive, unless one has its id: that one."""
    redrive = begun(new, now)
    try:
        await calls.write_together(begins(redrive, named))
    except Clash:
        return (await must_find(calls, new.id)).redrive, False
    return redrive, True


async def stop(calls: Calls, redrive_id: str, why: str, now: Micros) -> Redrive:
    """Let it take nothing more.  Raises UnknownRedrive."""
    for _ in range(TRIES):
        kept = await must_find(calls, redrive_id)
        after = stopped(kept.redrive, why, now)
        writes = changes(kept, after)
        try:
            if writes:
                await calls.write_together(writes)
        except Clash:
            continue
        return after
    raise LedgerUnavailable(f"others change the redrive {redrive_id} all the time")


async def page(calls: Calls, query: RedriveQuery) -> list[Redrive]:
    """Redrives, newest first."""
    high = None if query.after is None else stored.place(*query.after)
    found: list[Redrive] = []
    async for entries in calls.walk(REDRIVES, high=high, newest_first=True):
        alike = [
            entry
            for entry in entries
            if query.state in (None, entry["state"]) and (high is None or entry["sk"] < high)
        ]
        found += await _shown(calls, alike[: query.limit - len(found)])
        if len(found) >= query.limit:
            break
    return found


async def _shown(calls: Calls, entries: Sequence[Item]) -> list[Redrive]:
    ids = [stored.listed_id(entry) for entry in entries]
    items = await calls.get_many(map(redrive_key, ids))
    there = (items.get(redrive_key(one)) for one in ids)
    return [stored.kept(item).redrive for item in there if item is not None]


async def going(calls: Calls, limit: int, after: RedrivePlace | None) -> list[RedrivePlace]:
    """Those that are open, oldest first."""
    low = None if after is None else stored.place(*after)
    items, _ = await calls.page(OPEN_REDRIVES, low=low, limit=limit + 1)
    places = [stored.listed_place(item) for item in items]
    return [place for place in places if place != after][:limit]


async def counts(calls: Calls) -> dict[RedriveState, int]:
    """How many there are in each state."""
    found = Counter[RedriveState]()
    async for entries in calls.walk(REDRIVES):
        found.update(RedriveState(entry["state"]) for entry in entries)
    return dict(found)


async def purge(calls: Calls, before: Micros, limit: int) -> int:
    """Remove those that ended before then, at most `limit`; how many.  Those that began later are
    not looked at."""
    removed = 0
    async for entries in calls.walk(REDRIVES, high=stored.place(before, "")):
        over = [entry for entry in entries if not entry["open"]]
        for redrive in await _shown(calls, over):
            if redrive.updated_at < before and removed < limit:
                await _remove(calls, redrive)
                removed += 1
        if removed == limit:
            break
    return removed


async def _remove(calls: Calls, redrive: Redrive) -> None:
    """Remove what lies beside it, and it, before the entry that leads to it."""
    pk, sk = redrive_key(redrive.id)
    pieces = await _beside(calls, redrive.id, "named#")
    await calls.delete_many([(pk, item["sk"]) for item in pieces])
    await calls.delete_many([(pk, sk)])
    await calls.delete_many([(REDRIVES, stored.place(redrive.started_at, redrive.id))])


async def copies(calls: Calls, after: str, limit: int) -> list[RedriveCopy]:
    """Those with an id above `after`, by id."""
    entries = [entry async for page in calls.walk(REDRIVES) for entry in page]
    ids = sorted(one for one in map(stored.listed_id, entries) if one > after)[:limit]
    found = await together(_copy(calls, one) for one in ids)
    return [copy for copy in found if copy is not None]


async def _copy(calls: Calls, redrive_id: str) -> RedriveCopy | None:
    kept = await find(calls, redrive_id)
    if kept is None:
        return None
    ways = sorted(stored.way_of(item) for item in await under_way(calls, redrive_id))
    return RedriveCopy(kept.redrive, await named(calls, redrive_id), tuple(ways))


async def restore(calls: Calls, new: Sequence[RedriveCopy]) -> None:
    """Keep redrives as another ledger kept them.

    The letters under way are written first: only with the redrive itself are they looked at.
    """
    for copy in new:
        redrive = moved(copy.redrive)
        if await find(calls, redrive.id) is not None:
            continue
        ways = [Put(stored.way_item(redrive.id, *way)) for way in copy.under_way]
        for at in range(0, len(ways), AT_ONCE):
            await calls.write_together(ways[at : at + AT_ONCE])
        try:
            await calls.write_together(begins(redrive, copy.named))
        except Clash:
            continue
