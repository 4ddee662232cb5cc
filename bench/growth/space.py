"""What a finished task takes of the disk, as the ledger's own steps leave it."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from bench.growth.homes import Home
from bench.growth.steps import AT_ONCE, Client
from unlost.ledger.opening import wall_clock

LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"
"""Of a payload: as many as make it hard to compress."""


class Space(msgspec.Struct, frozen=True):
    """Bytes a finished task with a payload of `payload` bytes, before and after a purge."""

    payload: int
    kept: float
    purged: float

    @property
    def bound(self) -> float:
        """What a task may take."""
        return 1.5 * self.payload + 400

    @property
    def holds(self) -> bool:
        """Whether it takes no more, and less once it is purged."""
        return self.kept <= self.bound and self.purged < self.kept


def payload_of(size: int, random: Random) -> str:
    """A payload of so many bytes."""
    frame = '{"text":""}'
    return frame[:-2] + "".join(random.choices(LETTERS, k=size - len(frame))) + frame[-2:]


async def space(home: Home, payload: int, tasks: int) -> Space:
    """Submit, claim and settle so many tasks on a ledger that is empty, then purge them."""
    await (await home.open()).close()
    empty = home.used()
    ledger = await home.open()
    random = Random(payload)
    client = Client(ledger, random, payload_of(payload, random))
    await client.enlist()
    for _ in range(0, tasks, AT_ONCE):
        await client.submit(AT_ONCE)
        await client.claim()
        await client.settle()
    await ledger.close()
    kept = home.used()
    ledger = await home.open()
    while await ledger.purge(wall_clock(), 1_000):
        pass
    await ledger.close()
    return Space(payload, (kept - empty) / tasks, (home.used() - empty) / tasks)
