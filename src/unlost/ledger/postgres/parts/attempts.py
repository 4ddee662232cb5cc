"""Attempts, and the workers that may claim them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from unlost.ledger.postgres.attempts import (
    claiming,
    pulling,
    settling,
    succeeding,
    transacting,
    workers,
)
from unlost.ledger.postgres.connection.connecting import Place
from unlost.ledger.postgres.connection.joining import Joined
from unlost.ledger.postgres.connection.store import SOON
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.controls.limiting import Limited
from unlost.ledger.postgres.parts.opened import Opened
from unlost.ledger.postgres.parts.tasks import weight
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.protocol.transacting import HandlerTransaction
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
from unlost.limits.control import Claimant
from unlost.task import Micros

T = TypeVar("T")


class Attempts(Opened):
    """Keeps the promises of `protocol.Workers`, `Attempts` and `Pulling`."""

    def __init__(self, place: Place, clock: Callable[[], Micros] | None = None) -> None:
        super().__init__(place, clock)
        self._limited = Limited()
        self._settles = Joined(self._settle, _weight)
        self._emptied: tuple[Claim, Micros | None] | None = None
        """The last claim that left nothing due, and how long after it something will be."""

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        await self._store.write(partial(workers.enlist, worker=worker, lease=lease))

    async def extend(self, workers_: Collection[str], lease: Micros) -> set[str]:
        step = partial(workers.extend, workers=workers_, lease=lease)
        return await self._store.write(step, SOON)

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        await self._store.write(partial(workers.dismiss, worker=worker, expired=expired))

    async def workers(self) -> list[Enlisted]:
        return await self._store.read(workers.workers)

    async def claim(self, claim: Claim) -> list[Claimed]:
        race, claimed = self._hints.race, list[Claimed]()
        hinted = race.begin(claim.types)
        try:
            if not race.looks_first(hinted=hinted) or await self._left(claim):
                claimed = await self._claim(claim)
        finally:
            race.end(hinted=hinted, found=bool(claimed))
        self._vacuum.claimed(len(claimed))
        return claimed

    async def _left(self, claim: Claim) -> bool:
        """Whether such a claim could find anything."""
        due = await self.due_in(claim.types, alone=claim.alone, claimant=claim.claimant)
        if due != 0:
            self._emptied = claim, due
        return due == 0

    async def _claim(self, claim: Claim) -> list[Claimed]:
        def emptied(due_in: Micros | None) -> None:
            self._emptied = claim, due_in

        step = partial(
            claiming.claim,
            wanted=claim,
            limited=self._limited if self._controlled else None,
            marks=self._marks,
            emptied=emptied,
        )
        return await self._claimed(step)

    async def _claimed(self, step: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            return await self._store.write(step)
        except LedgerUnavailable:  # what the marks have passed may be there still
            self._marks.forget()
            raise

    async def due_in(
        self,
        types: Collection[str] | None,
        *,
        alone: bool = False,
        claimant: Claimant = Claimant.LOCAL,
        after: Claim | None = None,
    ) -> Micros | None:
        if after is not None and self._emptied is not None and self._emptied[0] is after:
            return self._emptied[1]
        limited = self._controlled
        step = partial(
            claiming.due_in,
            types=types,
            alone=alone,
            limited=limited,
            marks=self._marks,
            claimant=claimant,
        )
        return await self._store.read(step)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return await self._settles.do(settlements)

    async def _settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        if self._controlled or not all(map(succeeding.plain, settlements)):
            return await self._store.write(partial(settling.settle, settlements=settlements), SOON)
        succeed = partial(succeeding.succeed, settlements=settlements)
        done = await self._store.write(succeed, SOON)
        rest = [end for end, settled in zip(settlements, done, strict=True) if not settled]
        answers: list[Settled] = []
        if rest:
            answers = await self._store.write(partial(settling.settle, settlements=rest), SOON)
        others = iter(answers)
        return [Settled.HELD if settled else next(others) for settled in done]

    async def held(self, worker: str | None) -> list[Held]:
        return await self._store.read(partial(workers.held, worker=worker))

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        return await self._store.read(partial(workers.dropped, tokens=tokens))

    async def begin_transaction(self, *, threaded: bool) -> HandlerTransaction:
        return await transacting.begin(self._place, self._store, threaded=threaded)

    async def pull(self, wanted: Pull) -> Pulled:
        limited = self._limited if self._controlled else None
        step = partial(pulling.pull, wanted=wanted, limited=limited, marks=self._marks)
        pulled = await self._claimed(step)
        self._vacuum.claimed(len(pulled.attempts))
        return pulled

    async def lone(self) -> dict[str, Micros]:
        return await self._store.read(partial(pulling.lone, limited=self._controlled))

    async def prolong(self, worker: str, owner: str, lease: Micros) -> None:
        step = partial(pulling.prolong, worker=worker, owner=owner, lease=lease)
        await self._store.write(step, SOON)

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        return await self._store.read(partial(pulling.standing, tokens=tokens))

    async def overtime(self) -> list[Held]:
        return await self._store.read(pulling.overtime)


def _weight(done: Settlement) -> int:
    return len(done.result or "") + sum(weight(one.submission) for one in done.submit)
