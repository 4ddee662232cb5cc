"""Lists: pages of tasks by submission and of dead letters by death, and their groups.

An index says where to look; each record is read again, consistently, and shown as it is then.  A
list of N records costs N/2 RCU and more by their size (one per 4 KB each), its parts the same
again, and the index 1 RCU for some eighty entries.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, together
from unlost.ledger.dynamodb.connection.indexes import (
    END,
    Stretch,
    existing,
    merged,
    partitions,
    stands,
)
from unlost.ledger.dynamodb.schema import DEAD, LOOK, SUBMITTED
from unlost.ledger.dynamodb.stored.positions import first_position
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.dynamodb.tasks.families import follow_ups
from unlost.ledger.protocol import BadCursor
from unlost.ledger.values import Group, Order, Page, Query
from unlost.ledger.weight import longest_sample
from unlost.task import Micros

WALK = 2_000
"""How many records one page may look at when filters leave most of them out."""
AT_ONCE = 500
"""How many records are read at once."""


# Pages


async def page(calls: Calls, query: Query) -> Page:
    """One page, newest first.  Raises BadCursor.

    Its cursor is the key that it reached: the next page goes on below it, whatever has come or
    gone meanwhile.
    """
    if query.parent is not None:
        return await _family(calls, query, query.parent)
    died = query.order is Order.DIED
    walk = _died(query) if died else _submitted(query)
    shards = await partitions(calls, DEAD if died else None)
    found: list[Stored] = []
    cursors: list[str] = []
    looked = 0
    async for entries in merged(calls, shards, walk, query.limit):
        left = deque(entries)
        while left:
            some = [left.popleft() for _ in range(min(len(left), _stride(query, found, looked)))]
            tasks = await existing(calls, some)
            for entry in some:
                looked += 1
                stored = tasks.get(entry["pk"])
                if stored is not None and stands(stored, entry) and _matches(query, stored):
                    found.append(stored)
                    cursors.append(_cursor(query.order, entry[walk.by]))
                if len(found) == query.limit or looked == WALK:
                    cursor = _cursor(query.order, entry[walk.by])
                    return await _shown(calls, query, found, cursors, cursor)
    return await _shown(calls, query, found, cursors, None)


async def _family(calls: Calls, query: Query, parent: str) -> Page:
    """The same of the tasks that followed from one."""
    walk = _submitted(query)
    family = [(schema.place(one.position), one) for one in await follow_ups(calls, parent)]
    found = [
        (place, one)
        for place, one in family
        if walk.low <= place <= walk.high and _matches(query, one)
    ]
    cursors = [_cursor(Order.SUBMITTED, place) for place, _ in found[: query.limit]]
    end = cursors[-1] if len(found) > query.limit else None
    return await _shown(calls, query, [one for _, one in found[: query.limit]], cursors, end)


async def _shown(
    calls: Calls, query: Query, found: Sequence[Stored], cursors: list[str], end: str | None
) -> Page:
    """The page of these tasks, or of the first of them; `end` is where it goes on after all."""
    records = await reading.records(calls, found, query.parts, query.room)
    cursors = cursors[: len(records)]
    return Page(records, cursors[-1] if len(records) < len(found) else end, cursors)


def _stride(query: Query, found: Sequence[Stored], looked: int) -> int:
    """How many records to read next: what is missing, then more where filters leave out much."""
    missing = query.limit - len(found)
    return min(max(missing, looked), AT_ONCE, WALK - looked)


def _matches(query: Query, stored: Stored) -> bool:
    error = stored.dead_letter
    return (
        query.state in (None, stored.state)
        and query.type in (None, stored.type)
        and (query.types is None or stored.type in query.types)
        and stored.task_id.startswith(query.id_prefix)
        and (query.since is None or query.since <= stored.submitted_at)
        and (query.until is None or stored.submitted_at < query.until)
        and (
            query.error is None
            or (error is not None and query.error in (error.fingerprint, error.type))
        )
    )


def _submitted(query: Query) -> Stretch:
    low = schema.place(first_position(query.since or 0))
    high = END if query.until is None else schema.place(first_position(query.until) - 1)
    if query.cursor is not None:
        (position,) = _parse(query.cursor, "s([0-9a-f]{1,31})")
        high = min(high, schema.place(position - 1))
    return Stretch(SUBMITTED, "at_submitted", low, high, newest_first=True)


def _died(query: Query) -> Stretch:
    high = schema.LAST
    if query.cursor is not None:
        died_at, position = _parse(query.cursor, "d([0-9a-f]{1,16})-([0-9a-f]{1,31})")
        high = f"{schema.moment(died_at)}#{schema.place(position - 1)}"
    return Stretch(LOOK, "at", schema.moment(0), high, newest_first=True)


def _cursor(order: Order, key: str) -> str:
    numbers = [f"{int(part):x}" for part in key.split("#")]
    return ("s" if order is Order.SUBMITTED else "d") + "-".join(numbers)


def _parse(cursor: str, pattern: str) -> list[int]:
    match = re.fullmatch(pattern, cursor)
    numbers = [int(part, 16) for part in match.groups()] if match else []
    if not numbers or numbers[-1] == 0:
        raise BadCursor(cursor)
    return numbers


# Dead letters by error


SAMPLES = 3
"""Of how many dead letters of a group one is shown, should others have just been redriven."""
GROUPS_AT_ONCE = 100
"""Groups whose samples are read at once."""


class _Tally:
    """Dead letters that look alike, as the index knows them."""

    def __init__(self) -> None:
        self.count = 0
        self.first = schema.LAST
        self.newest: list[tuple[str, Item]] = []

    def add(self, entry: Item) -> None:
        at = entry["at"]
        self.count += 1
        self.first = min(self.first, at)
        self.newest = sorted([*self.newest, (at, entry)], key=itemgetter(0))[-SAMPLES:]

    def group(self, fingerprint: str, tasks: Mapping[str, Stored], longest: int) -> Group | None:
        """The group, with an error of one that is still dead; None if it is no more."""
        for at, entry in reversed(self.newest):
            stored = tasks.get(entry["pk"])
            error = stored and stored.dead_letter
            if error and error.fingerprint == fingerprint:
                times = (_time(self.first), _time(at))
                sample = error.message[:longest]
                return Group(fingerprint, error.type, sample, self.count, *times)
        return None


async def groups(calls: Calls, room: int, types: Collection[str] | None) -> list[Group]:
    """Dead letters counted by fingerprint, most first; reads the whole index of them."""
    tallies: dict[str, _Tally] = {}

    async def count(shard: str) -> None:
        async for entries in calls.walk(shard, index=LOOK):
            for entry in entries:
                if types is not None and entry["type"] not in types:
                    continue
                tallies.setdefault(entry.get("fingerprint", ""), _Tally()).add(entry)

    await together(count(shard) for shard in await partitions(calls, DEAD))
    longest = longest_sample(room, len(tallies))
    found: list[Group] = []
    left = deque(tallies.items())
    while left:
        some = [left.popleft() for _ in range(min(len(left), GROUPS_AT_ONCE))]
        tasks = await existing(calls, (entry for _, one in some for _, entry in one.newest))
        groups = (tally.group(fingerprint, tasks, longest) for fingerprint, tally in some)
        found += [group for group in groups if group is not None]
    return sorted(found, key=lambda group: (-group.count, group.fingerprint))


def _time(at: str) -> Micros:
    return int(at.split("#", maxsplit=1)[0])
