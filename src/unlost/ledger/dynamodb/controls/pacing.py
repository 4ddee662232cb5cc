"""Pacing: how far ahead the starts of a type or key are of its rate (`unlost.limits.rate`).

An instant is an item; who starts an attempt moves it on, conditional on how it was read, in the
transaction that starts it.  So a rate holds whoever races.  Many starts a second would contend for
one item: a rate above `SHARE` is divided among several, each with an equal share of it, of which a
claim takes any that lets it start.  2 WCU a start, and 1 RCU for each two items that a claim reads.

What is turned away by a rate is given a turn: the queue of a type or key is paced like its starts
(`turn`), so that messages come when they find room, and not all again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from math import ceil
from random import Random
from typing import Final

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash
from unlost.ledger.dynamodb.connection.writes import Change, Put
from unlost.ledger.dynamodb.schema import Key
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.limits import rate
from unlost.limits.control import Control
from unlost.limits.rate import NEVER_STARTED
from unlost.task import SECOND, Micros

SHARE: Final = 5.0
"""Starts a second of one item, at most."""

MOST_ITEMS: Final = 100

KEPT: Final = 3_600 * SECOND
"""How long an item is kept that says nothing any more."""

TRIES: Final = 10

LONGEST: Final = 900 * SECOND
"""How far ahead turns are given, which is as long as a queue holds a message back; what comes later
the sweep brings on."""

AHEAD: Final = 75 * SECOND
"""How far ahead the sweep, which comes each minute, sees to it that turns are given."""

APART: Final = 60 * SECOND
"""How far the last turns of the shards of one rate may be apart."""


class Shard(msgspec.Struct, frozen=True):
    """An instant: whose it is (None: the type's), its part of the rate, and its item, if any."""

    mark: str | None
    key: Key
    rate: float
    item: Item | None = None

    @property
    def at(self) -> int:
        """The instant; of another rate it says nothing."""
        if self.item is None or self.item["rate"] != str(self.rate):
            return NEVER_STARTED
        return int(self.item["instant"])


def shards(control: Control, mark: str | None, of: str = "start") -> list[Shard]:
    """The instants that attempts with this key are kept to; None: those of the type alone."""
    limit = control.rate if mark is None else control.key_rate
    if limit is None:
        return []
    number = min(MOST_ITEMS, max(1, ceil(limit / SHARE)))
    keys = (schema.pace_key(control.type, of, mark, n) for n in range(number))
    return [Shard(mark, key, limit / number) for key in keys]


def moved(shard: Shard, now: Micros) -> Put | Change:
    """The write that counts one more start."""
    return _kept(shard, rate.after(shard.rate, shard.at, now, 1))


def _kept(shard: Shard, at: int) -> Put | Change:
    pk, sk = shard.key
    until = (rate.full(at) + KEPT) // SECOND
    item = {"pk": pk, "sk": sk, "rate": str(shard.rate), "instant": at, "ttl": until}
    if shard.item is None:
        return Put(item, only_new=True)
    return Change(shard.item, item)


class Paces:
    """The instants of one type, as far as they were read."""

    def __init__(self, control: Control, now: Micros) -> None:
        self._control = control
        self._now = now
        self._known: dict[str | None, list[Shard]] = {}

    def asks(self, mark: str | None) -> bool:
        """Whether it would have to be read."""
        return mark not in self._known and bool(shards(self._control, mark))

    async def read(self, calls: Calls, marks: Iterable[str | None]) -> None:
        """Read those of the type (None) and of these keys, as they are now."""
        wanted = {mark: shards(self._control, mark) for mark in {None, *marks}}
        found = await calls.get_many(one.key for some in wanted.values() for one in some)
        for mark, some in wanted.items():
            self._known[mark] = [
                msgspec.structs.replace(one, item=found.get(one.key)) for one in some
            ]

    def left(self, mark: str | None) -> dict[str, int]:
        """How many attempts with this key may start, for each rate that it is kept to."""
        return {
            f"rate#{one or ''}": sum(rate.allowed(s.rate, s.at, self._now) for s in some)
            for one in {None, mark}
            if (some := self._of(one))
        }

    def free_at(self, mark: str | None) -> Micros:
        """When the rate of a key, or of the type, lets the next attempt start."""
        some = self._of(mark)
        return min((rate.next_start(s.rate, s.at, self._now) for s in some), default=self._now)

    def take(self, mark: str | None, random: Random) -> list[Put | Change] | None:
        """The writes that count a start; None where a rate does not let it."""
        writes = []
        for some in filter(None, map(self._of, {None, mark})):
            free = [one for one in some if rate.allowed(one.rate, one.at, self._now)]
            if not free:
                return None
            writes.append(moved(random.choice(free), self._now))
        return writes

    def _of(self, mark: str | None) -> list[Shard]:
        return self._known.get(mark) or shards(self._control, mark)


async def turn(
    calls: Calls, control: Control, mark: str | None, soonest: Micros, now: Micros, random: Random
) -> Micros | None:
    """When to look again at a task that a rate has turned away, not before `soonest`: behind those
    that were given a turn before; None where that is too far off.  1 WCU for each rate."""
    at: Micros | None = soonest
    for one in dict.fromkeys((None, mark)):
        if at is not None and (waiting := shards(control, one, "turn")):
            at = await _turn(calls, waiting, at, now, random)
    return at


async def keeps_turn(
    calls: Calls, control: Control, mark: str | None, held: Micros, now: Micros, random: Random
) -> bool:
    """Whether a task that was given the turn `held` keeps it, rather than being given another.

    A turn that has just come is kept: starts lag behind turns by as much as messages come late.
    One to come is, unless a new one would be earlier since the rate was changed.  1 RCU for each
    rate.
    """
    lines = [line for one in {None, mark} if (line := shards(control, one, "turn"))]
    if held <= now:
        return now - held <= 2 * max(rate.full(rate.interval(line[0].rate)) for line in lines)
    drawn = [random.choice(line) for line in lines]
    found = await calls.get_many(shard.key for shard in drawn)
    last = max(msgspec.structs.replace(one, item=found.get(one.key)).at for one in drawn)
    return held <= min(now + LONGEST, rate.full(last)) + APART


async def turns_left(
    calls: Calls, control: Control, marks: Iterable[str | None], now: Micros
) -> dict[str | None, int]:
    """How many turns within `AHEAD` nobody was given, of the type (None) and of keys that have a
    rate."""
    lines = {mark: shards(control, mark, "turn") for mark in {None, *marks}}
    found = await calls.get_many(one.key for line in lines.values() for one in line)
    return {
        mark: sum(_left(msgspec.structs.replace(s, item=found.get(s.key)), now) for s in line)
        for mark, line in lines.items()
        if line
    }


def _left(shard: Shard, now: Micros) -> int:
    first, end = max(shard.at, rate.NANOS * now), rate.NANOS * (now + AHEAD)
    return 0 if first > end else (end - first) // rate.interval(shard.rate) + 1


async def _turn(
    calls: Calls, waiting: list[Shard], soonest: Micros, now: Micros, random: Random
) -> Micros | None:
    for attempt in range(TRIES):
        shard = random.choice(waiting)
        shard = msgspec.structs.replace(shard, item=await calls.get(shard.key))
        at = max(shard.at, rate.NANOS * soonest)
        if at > rate.NANOS * (now + LONGEST):
            return None
        try:
            await calls.write(_kept(shard, at + rate.interval(shard.rate)))
        except Clash:
            await asyncio.sleep(random.uniform(0, 0.01 * attempt))
            continue
        return rate.full(at)
    return soonest + round(random.random() * SECOND * min(60.0, 1 / waiting[0].rate))
