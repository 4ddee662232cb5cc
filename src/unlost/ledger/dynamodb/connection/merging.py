"""One order out of the shards of a list: a page of each, merged.

An index is spread over partitions, one a shard, each in its own order.  Whoever walks the list
in order reads a stretch of every shard, takes what comes first among them, and reads on where a
stretch has run out: nothing may be taken past the end of a stretch that goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence

import msgspec

from unlost.ledger.dynamodb.connection.calls import Calls, Start, together
from unlost.ledger.dynamodb.stored.wire import Item

MOST = 1_000
"""Entries in one stretch at most."""


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
