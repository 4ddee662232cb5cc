"""Schedules, one item each, with their payloads and their newest ticks beside them.

A tick is one transaction: the schedule, the tick, and the task with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from itertools import islice
from typing import Final

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.indexes import Stretch, merged, partitions
from unlost.ledger.dynamodb.connection.writes import Absent, Add, Change, Delete, Put, Same, Write
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.stored import schedule as stored
from unlost.ledger.dynamodb.stored.positions import Positions
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading, submitting
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.weight import schedule_weight, within
from unlost.schedule.schedule import KEPT_TICKS, MOST, Due, Move, Moved, Schedule, Tick
from unlost.task import TERMINAL, Micros

TRIES: Final = 20
"""How often others may be quicker with what two make at once, or a payload may be another's."""

MOVES: Final = 50
"""Steps of one call: those of so many schedules go side by side."""

AT_ONCE: Final = 30
"""Payloads that are read together: each may be a quarter of a megabyte."""

TRIM: Final = 50
"""Ticks after which those that are too old are removed."""


class Scheduling(msgspec.Struct, frozen=True):
    """What steps of one call have in common."""

    calls: Calls
    tell: Telling
    positions: Positions
    now: Micros
    patience: Micros

    async def move(self, moves: Sequence[Move]) -> list[Moved]:
        """Take steps; those of one schedule one after another, of several side by side.

        New schedules are made one after another: they are counted in one item.
        """
        chains: dict[str, list[int]] = {}
        for turn, one in enumerate(moves):
            chains.setdefault(one.schedule.id, []).append(turn)
        known = await self.calls.get_many(map(stored.key, chains))
        results: dict[int, Moved] = {}

        async def follow(name: str, turns: list[int]) -> None:
            item = known.get(stored.key(name))
            for turn in turns:
                if turn != turns[0]:
                    item = await self.calls.get(stored.key(name))
                results[turn] = await self._move(moves[turn], item)

        new = [name for name, turns in chains.items() if not moves[turns[0]].expected]
        await together(follow(*chain) for chain in chains.items() if chain[0] not in new)
        for name in new:
            await follow(name, chains[name])
        return [results[turn] for turn in range(len(moves))]

    async def _move(self, one: Move, item: Item | None) -> Moved:
        if one.expected != (0 if item is None else item["revision"]):
            return Moved.STALE
        if item is None:
            return await self._make(one)
        moved = await self._write(one, item, [])
        if moved is Moved.DONE and one.ticks and one.schedule.due % TRIM < len(one.ticks):
            await self._trim(one.schedule)
        return moved

    async def _make(self, one: Move) -> Moved:
        """A new schedule, counted with it."""
        await self._clear(one.schedule.id)
        number = await self.calls.get(stored.NUMBER)
        if number is not None and number["number"] >= MOST:
            return Moved.FULL
        return await self._write(one, None, [_counted(1)])

    async def _write(self, one: Move, item: Item | None, more: list[Add]) -> Moved:
        """The step in one transaction, with `more`."""
        shards = await self.calls.shards()
        payload_of = one.schedule.revision if item is None or one.new_plan else item["payload_of"]
        new = stored.item_of(one, shards, payload_of)
        writes: list[Write | Absent | Same]
        writes = [Put(new, only_new=True) if item is None else Change(item, new), *more]
        record = None
        if one.task is not None:
            record, payload = submitting.prepared(
                one.task, self.positions, shards, self.now, self.patience
            )
            writes += submitting.writes(record, payload)
        if item is None or one.new_plan:
            writes.append(Put(stored.payload_item(one)))
        if one.ticks:
            writes.append(Put(stored.ticks_item(one)))
        try:
            await self.calls.write_together(writes)
        except Clash as clash:
            if clash.index == 0:
                return Moved.STALE
            return Moved.TAKEN
        if record is not None:
            self.tell.moved(record)
        return Moved.DONE

    async def drop(self, schedule_id: str) -> bool:
        """Forget a schedule, and then its ticks."""
        for _ in range(TRIES):
            item = await self.calls.get(stored.key(schedule_id))
            if item is None:
                return False
            gone = Delete(stored.key(schedule_id), item["op"])
            try:
                # Its payload goes with it: after this, what is there may be of one made anew.
                payload = Delete(stored.payload_key(schedule_id))
                await self.calls.write_together([gone, _counted(-1), payload])
            except Clash:
                continue
            await self._clear(schedule_id)
            return True
        raise LedgerUnavailable(f"others change the schedule {schedule_id} all the time")

    async def _clear(self, schedule_id: str) -> None:
        async for items in self.calls.walk(stored.beside(schedule_id), **stored.tick_span()):
            await self.calls.delete_many([(one["pk"], one["sk"]) for one in items])

    async def _trim(self, schedule: Schedule) -> None:
        oldest = schedule.due - KEPT_TICKS
        if oldest <= 0:
            return
        span = stored.tick_span(oldest)
        async for items in self.calls.walk(stored.beside(schedule.id), **span):
            old = [(one["pk"], one["sk"]) for one in items if one["last"] <= oldest]
            await self.calls.delete_many(old)


def _counted(more: int) -> Add:
    return Add(stored.NUMBER, {"number": more})


async def get(calls: Calls, schedule_id: str) -> Schedule | None:
    """One schedule."""
    for _ in range(TRIES):
        item = await calls.get(stored.key(schedule_id))
        if item is None:
            return None
        payload = await calls.get(stored.payload_key(schedule_id))
        if (found := stored.schedule_of(item, payload)) is not None:
            return found
    raise LedgerUnavailable(f"the payload of the schedule {schedule_id} is another's")


async def schedules(
    calls: Calls, after: str, limit: int, room: int, *, payloads: bool
) -> list[Schedule]:
    """Schedules by id."""
    items: list[Item] = []
    async for page in calls.walk(stored.PK, low=after, limit=limit + 1):
        items += [item for item in page if item["sk"] > after]
        if len(items) >= limit:
            break
    if not payloads:
        bare = (stored.bare_of(item) for item in items[:limit])
        return list(within(room, bare, schedule_weight))
    return await _whole(calls, items[:limit], room)


async def _whole(calls: Calls, items: Sequence[Item], room: int) -> list[Schedule]:
    """The schedules of these items, with their payloads; none after the one with which they weigh
    `room` or more."""
    found: list[Schedule] = []
    for start in range(0, len(items), AT_ONCE):
        some = items[start : start + AT_ONCE]
        payloads = await calls.get_many(stored.payload_key(item["sk"]) for item in some)
        for item in some:
            payload = payloads.get(stored.payload_key(item["sk"]))
            one = stored.schedule_of(item, payload) or await get(calls, item["sk"])
            if one is None:
                continue
            found.append(one)
            room -= schedule_weight(one)
            if room <= 0:
                return found
    return found


async def ticks(calls: Calls, schedule_id: str, limit: int) -> list[Tick]:
    """The newest ticks, the newest first."""
    most = min(limit, KEPT_TICKS)
    found: list[Tick] = []
    span = stored.tick_span()
    async for items in calls.walk(stored.beside(schedule_id), newest_first=True, **span):
        for item in items:
            found += reversed(stored.ticks_of(item))
        if len(found) >= most:
            break
    return found[:most]


async def due(calls: Calls, now: Micros, limit: int, room: int) -> Due:
    """What is due, as far as the index knows it, and when there is more."""
    items, further = await _ready(calls, now, limit)
    ready = sorted(items, key=lambda item: str(item["at"]))
    found = await _whole(calls, ready[:limit], room)
    places = {item["sk"]: place for place, item in enumerate(ready, 1)}
    passed = places[found[-1].id] if found else 0
    later = [int(one["at"].partition("#")[0]) for one in (*ready[passed:], *further)]
    still = [one for one in found if one.next is not None and one.next <= now]
    return Due(now, still, min(later, default=None))


async def _ready(calls: Calls, now: Micros, limit: int) -> tuple[list[Item], list[Item]]:
    """Schedules that are due, one more than `limit` if there are so many, and the index's first
    entry after those that were looked at.  Entries that are out of date are passed over."""
    up_to, looked_at = schema.up_to(now), 0
    ready: dict[str, Item] = {}
    places = await partitions(calls, schema.SCHEDULED)
    walk = Stretch(schema.LOOK, "at", schema.moment(0), schema.LAST)
    async for entries in merged(calls, places, walk, limit + 1):
        left = deque(entries)
        while left and left[0]["at"] <= up_to and len(ready) <= limit and looked_at < MOST:
            count = min(len(left), limit + 1 - len(ready))
            some = [one for one in islice(left, count) if one["at"] <= up_to]
            for _ in some:
                left.popleft()
            looked_at += len(some)
            for item in (await calls.get_many(stored.key(one["sk"]) for one in some)).values():
                if item.get("at") and item["at"] <= up_to:
                    ready[item["sk"]] = item
        if left or len(ready) > limit:
            return list(ready.values()), list(left)[:1]
    return list(ready.values()), []


async def unended(calls: Calls, task_ids: Collection[str]) -> set[str]:
    """Which of these tasks are there and have not ended."""
    found = await reading.find_many(calls, task_ids)
    return {name for name, task in found.items() if task.state not in TERMINAL}
