"""Attempts, and the workers that may claim them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from unlost.ledger.dynamodb.attempts import claiming, claiming_by_id, pulled, pulling, workers
from unlost.ledger.dynamodb.attempts.claiming_by_id import BY_WHAT_IS_SET, Asked, NotClaimed
from unlost.ledger.dynamodb.attempts.settling import Settling
from unlost.ledger.dynamodb.controls.slots import Rooms
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.parts.opened import PATIENCE, Opened
from unlost.ledger.dynamodb.stored.record import PUT_OFF
from unlost.ledger.values import (
    Claim,
    Claimed,
    Enlisted,
    Held,
    Pull,
    Pulled,
    Settled,
    Settlement,
    Worker,
)
from unlost.limits.control import Claimant, left_to_others
from unlost.policy import Limits
from unlost.task import Micros


class Attempts(Opened):
    """Keeps the promises of `protocol.Workers`, `Attempts` and `Pulling`."""

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        await workers.enlist(self._calls, worker, lease, self._clock())

    async def extend(self, workers_: Collection[str], lease: Micros) -> set[str]:
        return await workers.extend(self._calls, workers_, lease, self._clock())

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        await workers.dismiss(self._calls, worker, self._clock(), expired=expired)

    async def workers(self) -> list[Enlisted]:
        return await workers.enlisted(self._calls, self._clock())

    async def claim(self, claim: Claim) -> list[Claimed]:
        now = self._clock()
        async with self._telling(now) as tell:
            rooms = await self._rooms(claim.claimant, now)
            return await claiming.claim(self._calls, tell, claim, rooms, now, self._random)

    async def _rooms(self, claimant: Claimant, now: Micros) -> Rooms:
        known = await self._controls.known(now)
        if claimant is Claimant.STAND_IN:
            named = await workers.named(self._calls, now)
            known = {one.type: one for one in left_to_others(known.values(), named)}
        return Rooms(self._calls, known, now, claimant)

    async def claim_task(
        self,
        task_id: str,
        *,
        token: str,
        worker: str,
        limits: Mapping[str, Limits] | None,
        defaults: Limits,
        lease: Micros,
        claimant: Claimant = Claimant.LOCAL,
    ) -> Claimed | NotClaimed:
        """Start an attempt of this one task if it is due, under a lease of its own.

        `limits` are the types served, with their handlers' limits; None serves every type.  The
        worker need not be enlisted.  Once `lease` is over, `held(None)` names the attempt, as
        soon as `hint_overdue` has met it.  The same token again, after an unknown outcome, is
        answered with the attempt that it started.

        It goes by what was set, and for a stand-in by which types were named, up to 5 s ago; but
        none is refused by that: whoever changes it sends messages at once, which must not serve in
        vain.
        """
        wanted = Claim(worker, (token,), limits, defaults, claimant=claimant)
        now = self._clock()
        async with self._telling(now) as tell:
            claimed = await self._claim_task(tell, task_id, wanted, lease, now)
            if isinstance(claimed, NotClaimed) and claimed.reason in BY_WHAT_IS_SET:
                self._controls.forget()
                self._named.forget()
                claimed = await self._claim_task(tell, task_id, wanted, lease, now)
            return claimed

    async def _claim_task(
        self, tell: Telling, task_id: str, wanted: Claim, lease: Micros, now: Micros
    ) -> Claimed | NotClaimed:
        known = await self._controls.known(now)
        stand_in = wanted.claimant is Claimant.STAND_IN
        named = await self._named.known(now) if stand_in else frozenset[str]()
        asked = Asked(task_id, wanted, lease, known, now, named)
        return await claiming_by_id.claim_task(self._calls, tell, asked, self._random)

    async def due_in(
        self,
        types: Collection[str] | None,
        *,
        alone: bool = False,
        claimant: Claimant = Claimant.LOCAL,
        after: Claim | None = None,
    ) -> Micros | None:
        now = self._clock()
        rooms = await self._rooms(claimant, now)
        if claimant is not Claimant.PULL:
            return await claiming.due_in(self._calls, types, rooms, now, alone=alone)
        before = now + PUT_OFF + PATIENCE  # who claims by the API asks each second, for a second
        pages = 1 if alone else claiming.WAITED_FOR
        return await claiming.due_in(
            self._calls, types, rooms, now, alone=alone, before=before, pages=pages
        )

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        now = self._clock()
        new_id = partial(self._report_ids.next, now)
        async with self._telling(now) as tell:
            settling = Settling(
                self._calls, tell, self._controls, self._positions, new_id, now, self._patience,
                self._random,
            )  # fmt: skip
            return await settling.settle(settlements)

    async def held(self, worker: str | None) -> list[Held]:
        now = self._clock()
        if worker is not None:
            return await workers.held_by(self._calls, worker, now)
        return await workers.left_behind(self._calls, now)

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        return await workers.dropped(self._calls, tokens)

    async def pull(self, wanted: Pull) -> Pulled:
        now = self._clock()
        async with self._telling(now) as tell:
            known = await self._controls.known(now)
            pulls = pulling.Pulls(self._calls, tell, known, now, self._random)
            return await pulls.pull(wanted)

    async def lone(self) -> dict[str, Micros]:
        now = self._clock()
        rooms = await self._rooms(Claimant.PULL, now)
        return await pulled.lone(self._calls, rooms, now)

    async def prolong(self, worker: str, owner: str, lease: Micros) -> None:
        await pulled.prolong(self._calls, worker, owner, lease, self._clock())

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        return await pulled.standing(self._calls, tokens, self._clock())

    async def overtime(self) -> list[Held]:
        return await pulled.overtime(self._calls, self._clock())
