"""Claiming from what is due, for enlisted workers: each attempt is started in one conditional
write, and counted before it runs.

3 WCU: the record and the move in the index.  Priorities hold among what is looked at: all that is
due, or the oldest `LOOKED_AT` of each shard where more is due than that.  What has no room is
passed over by its index entry, which knows its type and its key's mark: 1 RCU for some sixty.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from random import Random

import msgspec
from msgspec.structs import replace

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.attempts import workers
from unlost.ledger.dynamodb.attempts.starting import claimed_as, payloads, start, started
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.indexes import partitions
from unlost.ledger.dynamodb.controls import slots
from unlost.ledger.dynamodb.controls.slots import Promised, Rooms, Taken
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.schema import DUE, LOOK
from unlost.ledger.dynamodb.stored.record import Stored, held, looked_at
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.protocol import LeaseOver
from unlost.ledger.values import Claim, Claimed
from unlost.policy import Limits
from unlost.task import Micros

LOOKED_AT = 1_000
"""Index entries of a shard in one page; a claim reads on only where these do not suffice."""

WAITED_FOR = 4
"""Pages of a shard that a claim looks at which waits, each second."""

VERIFIED_AT_ONCE = 10

TRIES = 10
"""How often others may have been quicker to take a slot."""


class Wish(msgspec.Struct, frozen=True):
    """What a claim takes: these types (None: every type), alone or not (None: either), as far as
    there is room."""

    types: Collection[str] | None
    alone: bool | None
    rooms: Rooms

    def meets(self, item: Item) -> bool:
        """Whether an index entry is of this kind."""
        return self._suits(item.get("alone", False)) and self._takes(item["type"])

    def fits(self, stored: Stored) -> bool:
        """Whether a record is, and waits."""
        return stored.claimable and self._suits(stored.alone) and self._takes(stored.type)

    def _suits(self, alone: bool) -> bool:
        return self.alone in (None, alone)

    def _takes(self, name: str) -> bool:
        return self.types is None or name in self.types


async def claim(
    calls: Calls,
    tell: Telling,
    wanted: Claim,
    rooms: Rooms,
    now: Micros,
    random: Random,
) -> list[Claimed]:
    """Start up to len(tokens) attempts of the tasks that are due.

    Where another claim is quicker, the next candidate is taken.  Raises LeaseOver.
    """
    if not await workers.alive(calls, wanted.worker, now):
        raise LeaseOver(wanted.worker)
    tokens = deque(wanted.tokens)
    if not tokens:
        return []
    wish = Wish(wanted.types, wanted.alone, rooms)
    starting = Starting(calls, tell, wanted, rooms, now, random, asyncio.Lock())
    candidates = deque(await candidates_for(calls, wish, len(tokens), now))
    claimed: list[Claimed] = []
    while tokens and candidates:
        some = _next(candidates, rooms, len(tokens))
        tasks = await reading.find_many(calls, some)
        due = [tasks[name] for name in some if name in tasks and ready(tasks[name], wish, now)]
        texts = await payloads(calls, due)
        given = [tokens.popleft() for _ in due]
        begun = await together(map(starting.of, due, given, texts))
        tokens.extendleft(
            token for token, one in zip(given[::-1], begun[::-1], strict=True) if one is None
        )
        claimed += [one for one in begun if one is not None]
    return claimed


def _next(candidates: deque[Item], rooms: Rooms, most: int) -> list[str]:
    """The ids of the next ones to look at; those without room are passed over."""
    promised, some = Promised(rooms), list[str]()
    while candidates and len(some) < most:
        entry = candidates.popleft()
        if promised.take(entry["type"], schema.marked(entry["at"])):
            some.append(schema.task_id(entry["pk"]))
    return some


def ready(stored: Stored, wish: Wish, now: Micros) -> bool:
    """Whether a claim may take the task now."""
    return wish.fits(stored) and (stored.due or 0) <= now


async def candidates_for(calls: Calls, wish: Wish, enough: int, now: Micros) -> list[Item]:
    """Entries of what seems to be due, best first."""

    async def shard(place: str) -> list[Item]:
        found: list[Item] = []
        promised, count = Promised(wish.rooms), 0
        async for items in _waiting(calls, place, schema.up_to(looked_at(now))):
            suited = [item for item in items if item["due"] <= now and wish.meets(item)]
            await _know(wish.rooms, suited)
            found += [item for item in suited if _has_room(item, wish.rooms)]
            count += sum(
                promised.take(one["type"], schema.marked(one["at"]))
                for one in suited
                if wish.alone is not None or not one.get("alone", False)
            )
            if count >= enough:
                break
        return found

    shards = await together(map(shard, await partitions(calls, DUE)))
    found = [item for items in shards for item in items]
    found.sort(key=lambda item: (-item["priority"], item["due"], item["at"].partition("#")[2]))
    return found


async def _know(rooms: Rooms, entries: Sequence[Item]) -> None:
    await rooms.know(one["type"] for one in entries)
    await rooms.know_keys((one["type"], schema.marked(one["at"])) for one in entries)


def _has_room(entry: Item, rooms: Rooms) -> bool:
    return rooms.any(entry["type"], schema.marked(entry["at"]))


def _waiting(calls: Calls, place: str, high: str | None) -> AsyncIterator[list[Item]]:
    return calls.walk(place, index=LOOK, high=high, limit=LOOKED_AT)


class Starting(msgspec.Struct, frozen=True):
    """Starts attempts of one claim."""

    calls: Calls
    tell: Telling
    wanted: Claim
    rooms: Rooms
    now: Micros
    random: Random
    in_turn: asyncio.Lock

    async def of(self, stored: Stored, token: str, payload: str) -> Claimed | None:
        """Start an attempt; None where somebody else was quicker, or the room is taken.

        Attempts that are kept to a rate start one after the other: each moves it on.
        """
        if not self.rooms.paced(stored.type):
            return await self._start(stored, token, payload)
        async with self.in_turn:
            return await self._start(stored, token, payload)

    async def _start(self, stored: Stored, token: str, payload: str) -> Claimed | None:
        wanted = self.wanted
        limits = wanted.limits(stored.type, Limits(stored.own_retries, stored.own_timeout))
        new = started(stored, token, wanted.worker, limits, self.now)
        new = replace(new, due=None, **held(new, wanted.worker, token))
        for _ in range(TRIES):
            room = self.rooms.of(stored.type)
            taken = Taken() if room is None else room.take(slots.mark(stored), self.random)
            if taken is None:
                return None
            try:
                new = await start(self.calls, stored, new, room, taken)
            except Clash as clash:
                if clash.index == 0:
                    if room is not None:
                        room.give_back(taken)
                    return None
                await self.rooms.refresh(stored.type)
                await self.rooms.know_keys([(stored.type, slots.mark(stored))])
                continue
            if room is not None and taken.starts:
                await room.paces.read(self.calls, [slots.mark(stored)])
            self.tell.moved(new)
            return claimed_as(new, payload, stored.due_at)
        return None


async def due_in(
    calls: Calls,
    types: Collection[str] | None,
    rooms: Rooms,
    now: Micros,
    *,
    alone: bool,
    before: Micros | None = None,
    pages: float = math.inf,
) -> Micros | None:
    """How long until a claim of this kind could find a task; None if nothing waits, or nothing
    that is looked at `before` then, or nothing in so many pages of each shard."""
    high = None if before is None else schema.up_to(before)
    wish = Wish(types, alone, rooms)
    places = await partitions(calls, DUE)
    found = await together(_first_due(calls, place, wish, high, pages) for place in places)
    return max(0, min(due) - now) if (due := [one for one in found if one is not None]) else None


async def _first_due(
    calls: Calls, place: str, wish: Wish, high: str | None, pages: float
) -> Micros | None:
    """When the first task of a shard is due that really waits, and may start."""
    first: Micros | None = None
    async for items in _waiting(calls, place, high):
        if first is not None and items and items[0]["due"] >= first:
            break
        suited = [item for item in items if wish.meets(item)]
        await _know(wish.rooms, suited)
        found = sorted(
            (max(item["due"], when), schema.task_id(item["pk"]))
            for item in suited
            if (when := wish.rooms.when(item["type"], schema.marked(item["at"]))) is not None
        )
        due = await _first_of(calls, found, wish)
        first = due if first is None or (due is not None and due < first) else first
        pages -= 1
        if pages <= 0:
            break
    return first


async def _first_of(calls: Calls, found: Sequence[tuple[Micros, str]], wish: Wish) -> Micros | None:
    """The first of these moments, in their order, whose task really waits."""
    for at in range(0, len(found), VERIFIED_AT_ONCE):
        some = found[at : at + VERIFIED_AT_ONCE]
        tasks = await reading.find_many(calls, [name for _, name in some])
        for when, name in some:
            if name in tasks and wish.fits(tasks[name]):
                return max(when, tasks[name].due or 0)
    return None
