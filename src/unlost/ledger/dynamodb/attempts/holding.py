"""What a worker holds that claims by the API: what runs of that which its claims gave.

It is read in the records that the claims name, never in an index, which may lag.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash
from unlost.ledger.dynamodb.steps import Step, write
from unlost.ledger.dynamodb.stored import claims
from unlost.ledger.dynamodb.stored.claims import Given, KeptClaim
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.weight import within
from unlost.task import SECOND, Micros

UNDER_WAY: Final[Micros] = 30 * SECOND
"""How long a call may take from writing down its claim to starting the last attempt of it, before
others see to it that it starts none."""

READ: Final = 100
"""Attempts of a worker that are read at once to see whether it holds any."""


class Holding(msgspec.Struct, frozen=True):
    """What a worker holds, as far as claims hang on it: something, or what runs `alone`; and those
    of its claims that are not over, as far as that was looked at."""

    some: bool
    alone: bool
    claims: tuple[str, ...]


class Looking(msgspec.Struct, frozen=True):
    """Looks, at this moment, at what claims have given."""

    calls: Calls
    now: Micros
    random: Random

    async def of(self, name: str, worker: Item | None, but: str) -> Holding:
        """What this worker holds by other claims than `but`."""
        names = [one for one in (worker or {}).get("claims", ()) if one != but]
        found = await self.calls.get_many(map(schema.claim_key, names))
        kept = [claims.read(item) for item in found.values() if item["worker"] == name]
        left = sorted(self.random.sample(kept, len(kept)), key=lambda one: not one.alone)
        lapsed = worker is not None and worker["until"] <= self.now
        over: set[str] = {one.known_by for one in kept} ^ set(names)
        while left:
            some = list(within(READ, left, lambda one: len(one.given)))
            holds = await self.some_of(some, over=lapsed)
            over |= {one.known_by for one in some if one.known_by not in holds}
            if holds:
                alone = any(one.alone for one in some if one.known_by in holds)
                return Holding(True, alone, tuple(one for one in names if one not in over))
            left = left[len(some) :]
        return Holding(False, False, ())

    async def some_of(self, some: Sequence[KeptClaim], *, over: bool) -> set[str]:
        """Those of the claims of which something runs, or may start yet.

        What was written down long ago, or by workers whose leases are `over`, and has not started
        never will.
        """
        tasks = await reading.find_many(
            self.calls, (given.task_id for one in some for given in one.given)
        )
        found = set()
        for one in some:
            under_way = not over and one.began > self.now - UNDER_WAY
            for given in one.given:
                stored = tasks.get(given.task_id)
                if given.runs(stored) or (given.untouched(stored) and under_way):
                    found.add(one.known_by)
                    break
                if await self.runs_after_all(given, stored):
                    found.add(one.known_by)
                    break
        return found

    async def runs_after_all(self, given: Given, stored: Stored | None) -> bool:
        """See to it that what has not started never will; whether it has just done so."""
        if stored is None or not given.untouched(stored):
            return False
        try:
            await write(self.calls, stored, Step(stored))  # which makes it another version
        except Clash as clash:
            return clash.item is not None and clash.item.get("token") == given.token
        return False
