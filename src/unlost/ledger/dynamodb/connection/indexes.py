"""Indexes: where to look.  What is found there is read again, consistently.

An index is spread over partitions, one a shard, each in its own order.  Whoever walks the list
in order reads a stretch of every shard, takes what comes first among them, and reads on where a
stretch has run out: nothing may be taken past the end of a stretch that goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Start, together
from unlost.ledger.dynamodb.schema import LOOK, SUBMITTED
from unlost.ledger.dynamodb.stored.record import Stored, read
from unlost.ledger.dynamodb.stored.wire import Item

MOST = 1_000
"""Entries in one stretch at most."""
END = "9" * 38
"""A place after every position."""


async def partitions(calls: Calls, of: str | None = None) -> list[str]:
    """A list's partitions: of `look`, or (None) of the submissions."""
    names = schema.shard_names(await calls.shards())
    return names if of is None else [schema.partition(of, name) for name in names]


async def all_entries(calls: Calls, places: Iterable[str], **span: str) -> list[Item]:
    """All that is in these partitions of `look`, from `low` to `high`."""

    async def entries(place: str) -> list[Item]:
        return [entry async for page in calls.walk(place, index=LOOK, **span) for entry in page]

    return [entry for page in await together(map(entries, places)) for entry in page]


async def first_entries(calls: Calls, of: str, limit: int, high: str | None = None) -> list[Item]:
    """The first in each partition of a list in `look`, up to `high`."""
    pages = await together(
        calls.page(place, index=LOOK, high=high, limit=limit)
        for place in await partitions(calls, of)
    )
    return [entry for page, _ in pages for entry in page]


async def existing(calls: Calls, entries: Iterable[Item]) -> dict[str, Stored]:
    """The tasks of these index entries that are there and can be read, by pk, as they are now.

    A record that somebody's own edit has broken is not there: the audit tells it as lost.
    """
    items = await calls.get_many((entry["pk"], schema.TASK) for entry in entries)
    tasks = {}
    for (pk, _), item in items.items():
        try:
            tasks[pk] = read(item)
        except (KeyError, TypeError, ValueError):
            continue
    return tasks


def stands(stored: Stored, entry: Item) -> bool:
    """Whether the task is still where the index knew it."""
    return "at" not in entry or (stored.o, stored.at) == (entry["o"], entry["at"])


class Stretch(msgspec.Struct, frozen=True):
    """What to walk: entries with low ≤ sort key ≤ high in `index` (whose sort key is `by`)."""

    index: str
    by: str
    low: str
    high: str
    newest_first: bool = False


class _Shard:
    """One partition, as far as it was read."""

    def __init__(self, partition: str) -> None:
        self.partition = partition
        self.entries: deque[Item] = deque()
        self.start: Start | None = None
        self.ended = False

    async def read(self, calls: Calls, walk: Stretch, limit: int) -> None:
        """Read on until there is something to take, or nothing more."""
        while not self.entries and not self.ended:
            items, self.start = await calls.page(
                self.partition,
                index=walk.index,
                low=walk.low,
                high=walk.high,
                newest_first=walk.newest_first,
                limit=limit,
                start=self.start,
            )
            self.entries.extend(items)
            self.ended = self.start is None


async def merged(
    calls: Calls, partitions: Sequence[str], walk: Stretch, wanted: int
) -> AsyncIterator[list[Item]]:
    """The entries of all partitions in one order, some at a time; `wanted` is how many may do.

    What comes in or goes away meanwhile, behind where the walk is, does not disturb it.
    """
    if walk.low > walk.high:
        return
    shards = [_Shard(partition) for partition in partitions]
    limit = min(MOST, 5 + 2 * -(-wanted // len(shards)))
    while True:
        dry = [shard for shard in shards if not shard.entries]
        await together(shard.read(calls, walk, limit) for shard in dry)
        shards = [shard for shard in shards if shard.entries]
        if not shards:
            return
        yield _take(shards, walk)
        limit = min(MOST, 2 * limit)


def _take(shards: Sequence[_Shard], walk: Stretch) -> list[Item]:
    """All that certainly comes next: up to the first end of a stretch that goes on."""
    ends = [str(shard.entries[-1][walk.by]) for shard in shards if not shard.ended]
    first_of = max if walk.newest_first else min
    edge = first_of(ends) if ends else None
    taken = []
    for shard in shards:
        while shard.entries and _within(shard.entries[0][walk.by], edge, walk):
            taken.append(shard.entries.popleft())
    return sorted(taken, key=lambda item: str(item[walk.by]), reverse=walk.newest_first)


def _within(key: str, edge: str | None, walk: Stretch) -> bool:
    return edge is None or (key >= edge if walk.newest_first else key <= edge)


async def following(calls: Calls, after: int, limit: int) -> list[Stored]:
    """Tasks with a position above `after`, in order; those whose record is gone are left out."""
    walk = Stretch(SUBMITTED, "at_submitted", schema.place(after + 1), END)
    shards = await partitions(calls)
    found: list[Stored] = []
    async for batch in merged(calls, shards, walk, limit):
        tasks = await existing(calls, batch)
        found += [tasks[entry["pk"]] for entry in batch if entry["pk"] in tasks]
        if len(found) >= limit:
            break
    return found[:limit]


async def last_position(calls: Calls) -> int:
    """The position of the newest task that the index knows; 0 where there is none."""
    pages = await together(
        calls.page(shard, index=SUBMITTED, newest_first=True, limit=1)
        for shard in await partitions(calls)
    )
    return max((int(item["at_submitted"]) for items, _ in pages for item in items), default=0)
