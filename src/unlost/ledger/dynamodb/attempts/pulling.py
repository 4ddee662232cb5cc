"""Workers that claim by the API: enlisted by their claims, which may come twice.

A worker's item names its `claims`.  One that gives something is written down (`stored.claims`) in
the transaction that writes the worker's item, and only then its attempts start, each in one
conditional write.  So of two calls of one worker one decides on what the other has given; a claim
that comes again finds what it gave, and starts what of that has not started; and what a worker
holds is read in the records that its claims name, never in an index, which may lag.

A claim that gives nothing: 1 WCU for the lease, none where it waits.  One that gives something: 2
WCU for each KiB of the worker's item and of the claim (some ten attempts in a KiB), and 3 WCU an
attempt.  What it looks at is 1 RCU for some sixty entries of the index, and 1 RCU for each 4 KiB
of records: of what it takes, and of what the worker holds (of about a hundred attempts).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Final

import msgspec

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.attempts import workers
from unlost.ledger.dynamodb.attempts.claiming import Starting, Wish, candidates_for, ready
from unlost.ledger.dynamodb.attempts.holding import Holding, Looking
from unlost.ledger.dynamodb.attempts.starting import claimed_as, payloads
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.indexes import existing
from unlost.ledger.dynamodb.connection.writes import Change, Put, Write
from unlost.ledger.dynamodb.controls import slots
from unlost.ledger.dynamodb.controls.slots import Promised, Rooms
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.schema import WORKERS
from unlost.ledger.dynamodb.stored import claims
from unlost.ledger.dynamodb.stored.claims import Given, KeptClaim
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.protocol import AnotherCall, AnothersWorker, LeaseOver, LedgerUnavailable
from unlost.ledger.values import Claimed, Part, Pull, Pulled
from unlost.ledger.weight import size
from unlost.limits.control import Control
from unlost.task import Micros

TRIES: Final = 20
"""How often other calls of the worker, or of the claim, may be quicker; or who takes the tasks."""


class Chosen(msgspec.Struct, frozen=True):
    """What a claim is to start, and the room that there is for it."""

    tasks: Sequence[Stored]
    texts: Sequence[str]
    alone: bool
    rooms: Rooms


class Pulls(msgspec.Struct, frozen=True):
    """The claims of one worker."""

    calls: Calls
    tell: Telling
    controls: Mapping[str, Control]
    now: Micros
    random: Random

    async def pull(self, wanted: Pull) -> Pulled:
        """See `protocol.Pulling.pull`."""
        clashed = False
        for turn in range(TRIES):
            try:
                pulled = await self._pull(wanted, first=turn == 0)
            except Clash:
                clashed = True
                await asyncio.sleep(self.random.uniform(0, 0.005 * turn))
                continue
            if pulled is not None:
                return pulled
            clashed = False
        if not clashed:
            return Pulled()
        raise LedgerUnavailable(f"others change the worker {wanted.claim.worker} all the time")

    async def _pull(self, wanted: Pull, *, first: bool) -> Pulled | None:
        """Claim; None where that has to be looked at again.  Raises Clash."""
        name, look = wanted.claim.worker, self._look
        worker, kept = await self._read(wanted)
        alive = worker is not None and worker["until"] > self.now
        mine = alive and kept is not None and kept.is_of(name, wanted.prefix)
        before = await look.of(name, worker, wanted.known_by)
        own = kept is not None and kept.worker == name
        over = own and not alive
        known = not mine and kept is not None and bool(await look.some_of([kept], over=over))
        held = before.some or (known and own)
        if not alive and (held or wanted.waits):
            raise LeaseOver(name)
        if known:
            raise AnotherCall
        if worker is None and first:
            await workers.strike_off(self.calls, wanted.lease, self.now)
            if await workers.held_by(self.calls, name, self.now):  # as from another ledger
                raise LeaseOver(name)
        if kept is not None and mine:
            named = (*before.claims, wanted.known_by)
            tasks = await self._tasks(kept.given)
            if waiting := _waiting(kept, tasks):
                await self.calls.write(self._enlisted(wanted, worker, named))  # before it starts
                await self._bring_on(wanted, kept, waiting)
                return None
            if again := await self._again(kept, tasks):
                await self._enlist(wanted, worker, named)
                return again
        chosen = None
        if not (before.alone or (before.some and wanted.empties)):
            chosen = await self._choose(wanted, solo=not before.some)
        if chosen is None:
            await self._enlist(wanted, worker, before.claims)
            return Pulled()
        return await self._give(wanted, worker, before, kept, chosen)

    async def _read(self, wanted: Pull) -> tuple[Item | None, KeptClaim | None]:
        """The worker, and the claim as it was then or later.  Raises AnothersWorker."""
        keys = (WORKERS, wanted.claim.worker), schema.claim_key(wanted.known_by)
        found = await self.calls.get_many(keys)
        worker, item = found.get(keys[0]), found.get(keys[1])
        if worker is not None and worker.get("owner") != wanted.owner:
            raise AnothersWorker(wanted.claim.worker)
        if wanted.known_by in (worker or {}).get("claims", ()):
            item = await self.calls.get(keys[1])  # it may have been read before the worker
        return worker, None if item is None else claims.read(item)

    @property
    def _look(self) -> Looking:
        return Looking(self.calls, self.now, self.random)

    # What an earlier call of the claim gave

    async def _again(self, kept: KeptClaim, tasks: Mapping[str, Stored]) -> Pulled | None:
        """What runs of what an earlier call gave; None where nothing does."""
        running = [tasks[one.task_id] for one in kept.given if one.runs(tasks.get(one.task_id))]
        if not running:
            return None
        running.sort(key=lambda stored: stored.token or "")
        attempts = map(claimed_as, running, await payloads(self.calls, running))
        return Pulled(tuple(attempts), alone=kept.alone, again=True)

    async def _bring_on(
        self, wanted: Pull, kept: KeptClaim, waiting: Sequence[tuple[Given, Stored]]
    ) -> None:
        """Start what an earlier call has not; what cannot start now never will."""
        tasks = [stored for _, stored in waiting]
        rooms = self._rooms(wanted)
        await rooms.know(one.type for one in tasks)
        await rooms.know_keys((one.type, slots.mark(one)) for one in tasks)
        chosen = Chosen(tasks, await payloads(self.calls, tasks), kept.alone, rooms)
        await self._start(wanted, chosen, [given.token for given, _ in waiting])
        left = await self._tasks([given for given, _ in waiting])
        for given, _ in waiting:
            await self._look.runs_after_all(given, left.get(given.task_id))

    async def _tasks(self, given: Collection[Given]) -> dict[str, Stored]:
        return await reading.find_many(self.calls, (one.task_id for one in given))

    # What it gives

    def _rooms(self, wanted: Pull) -> Rooms:
        return Rooms(self.calls, self.controls, self.now, wanted.claim.claimant)

    async def _choose(self, wanted: Pull, *, solo: bool) -> Chosen | None:
        """The tasks to start, as they are now; None where there are none.  `solo`: one that has to
        run alone before all others."""
        claim, rooms = wanted.claim, self._rooms(wanted)
        most = len(claim.tokens)
        wish = Wish(claim.types, None if solo else False, rooms)
        entries = await candidates_for(self.calls, wish, most, self.now)
        lone = [one for one in entries if one.get("alone", False)]
        tasks = await self._verified(lone, wish, 1, alone=True)
        if tasks:
            texts = await payloads(self.calls, tasks)
            return Chosen(tasks, texts, True, rooms)
        others = [one for one in entries if not one.get("alone", False)]
        tasks = claims.fitting(await self._verified(others, wish, most, alone=False))
        room = math.inf if claim.room is None else claim.room
        found = await reading.records(self.calls, tasks, (Part.PAYLOAD,), room)
        texts = [one.payload or "" for one in found]
        number = claim.fitting(map(size, texts))
        if number == 0:
            return None
        return Chosen(tasks[:number], texts[:number], False, rooms)

    async def _verified(
        self, entries: list[Item], wish: Wish, most: int, *, alone: bool
    ) -> list[Stored]:
        """The first of these entries whose tasks are due and have room, as they are now."""
        promised, found = Promised(wish.rooms), list[Stored]()
        while entries and len(found) < most:
            some: list[Item] = []
            rest: list[Item] = []
            for entry in entries:
                fits = len(some) < most - len(found)
                mark = schema.marked(entry["at"])
                taken = fits and promised.take(entry["type"], mark)
                (some if taken else rest).append(entry)
            if not some:
                break
            tasks = await existing(self.calls, some)
            for entry in some:
                stored = tasks.get(entry["pk"])
                if stored and stored.alone is alone and ready(stored, wish, self.now):
                    found.append(stored)
                else:
                    promised.give_back(entry["type"], schema.marked(entry["at"]))
            entries = rest
        return found

    async def _give(
        self,
        wanted: Pull,
        worker: Item | None,
        before: Holding,
        kept: KeptClaim | None,
        chosen: Chosen,
    ) -> Pulled | None:
        """Write down what is chosen, and start it; None where others were quicker everywhere."""
        tokens = wanted.claim.tokens[: len(chosen.tasks)]
        pairs = zip(chosen.tasks, tokens, strict=True)
        given = tuple(Given(task.task_id, token, task.op) for task, token in pairs)
        name = wanted.claim.worker
        new = KeptClaim(wanted.known_by, name, self.now, chosen.alone, given)
        item = claims.written(new)
        await self.calls.write_together(
            [
                self._enlisted(wanted, worker, (*before.claims, wanted.known_by)),
                Put(item, only_new=True) if kept is None else Change(kept.item or {}, item),
            ]
        )
        begun = await self._start(wanted, chosen, tokens)
        return Pulled(tuple(begun), alone=chosen.alone) if begun else None

    async def _start(self, wanted: Pull, chosen: Chosen, tokens: Sequence[str]) -> list[Claimed]:
        """Start what is chosen; those that run, whichever call started them."""
        starting = Starting(
            self.calls, self.tell, wanted.claim, chosen.rooms, self.now, self.random, asyncio.Lock()
        )
        begun = await together(map(starting.of, chosen.tasks, tokens, chosen.texts))
        missing = {one.task_id for one, done in zip(chosen.tasks, begun, strict=True) if not done}
        tasks = await reading.find_many(self.calls, missing)
        found = []
        for stored, token, text, done in zip(
            chosen.tasks, tokens, chosen.texts, begun, strict=True
        ):
            there = tasks.get(stored.task_id)
            if done is not None:
                found.append(done)
            elif there is not None and there.token == token:
                found.append(claimed_as(there, text))
        return found

    # The worker's lease

    async def _enlist(self, wanted: Pull, worker: Item | None, kept: Sequence[str]) -> None:
        """Prolong the worker's lease, unless the claim waits.  Raises Clash."""
        if not wanted.waits:
            await self.calls.write(self._enlisted(wanted, worker, kept))

    def _enlisted(self, wanted: Pull, worker: Item | None, kept: Sequence[str]) -> Write:
        until = self.now + wanted.lease
        new = {
            "pk": WORKERS,
            "sk": wanted.claim.worker,
            "until": until if worker is None else max(until, worker["until"]),
            "types": list(wanted.claim.types or ()),
            "pull": True,
            "owner": wanted.owner,
            "claims": list(dict.fromkeys(kept)) or None,
        }
        return Put(new, only_new=True) if worker is None else Change(worker, {**worker, **new})


def _waiting(kept: KeptClaim, tasks: Mapping[str, Stored]) -> list[tuple[Given, Stored]]:
    """What a claim has given and not started, and may start yet."""
    found = ((given, tasks.get(given.task_id)) for given in kept.given)
    return [(given, stored) for given, stored in found if stored and given.untouched(stored)]
