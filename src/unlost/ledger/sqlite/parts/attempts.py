"""Attempts, and the workers that may claim them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from unlost.ledger.sqlite.attempts import claiming, pulling, settling, workers
from unlost.ledger.sqlite.connection.pressing import BESIDE
from unlost.ledger.sqlite.parts.opened import Opened
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


class Attempts(Opened):
    """Keeps the promises of `protocol.Workers`, `Attempts` and `Pulling`."""

    _emptied: tuple[Claim, Micros | None] | None = None
    """The last claim that had nothing to find, and how long after it something will be due."""

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        await self._do(partial(workers.enlist, worker=worker, lease=lease))

    async def extend(self, names: Collection[str], lease: Micros) -> set[str]:
        step = partial(workers.extend, names=names, lease=lease)
        return await self._do(step)

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        step = partial(workers.dismiss, worker=worker, expired=expired)
        await self._do(step)

    async def workers(self) -> list[Enlisted]:
        return await self._read(partial(workers.workers, now=self._clock()))

    async def claim(self, claim: Claim) -> list[Claimed]:
        race, claimed = self._race, list[Claimed]()
        hinted = race.begin(claim.types)
        try:
            if not race.looks_first(hinted=hinted) or await self._left(claim):
                claimed = await self._claim(claim)
        finally:
            race.end(hinted=hinted, found=bool(claimed))
        return claimed

    async def _left(self, claim: Claim) -> bool:
        """Whether such a claim could find anything."""
        due = await self.due_in(claim.types, alone=claim.alone, claimant=claim.claimant)
        if due != 0:
            self._emptied = claim, due
        return due == 0

    async def _claim(self, claim: Claim) -> list[Claimed]:
        if self._writer.pressed:
            claim = replace(claim, tokens=claim.tokens[:BESIDE])
        return await self._do(partial(claiming.claim, wanted=claim), patient=True)

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
        now = self._clock()
        step = partial(claiming.due_in, now=now, types=types, alone=alone, claimant=claimant)
        return await self._read(step)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        settled: list[Settled] = []
        while left := settlements[len(settled) :]:
            some = left[:BESIDE] if self._writer.pressed else left
            settled += await self._writer.do_joint(settling.settle, some, patient=True)
        return settled

    async def held(self, worker: str | None) -> list[Held]:
        return await self._read(partial(workers.held, now=self._clock(), worker=worker))

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        return await self._read(partial(workers.dropped, tokens=tokens))

    async def pull(self, wanted: Pull) -> Pulled:
        return await self._do(partial(pulling.pull, wanted=wanted))

    async def lone(self) -> dict[str, Micros]:
        return await self._read(partial(pulling.lone, now=self._clock()))

    async def prolong(self, worker: str, owner: str, lease: Micros) -> None:
        await self._do(partial(pulling.prolong, worker=worker, owner=owner, lease=lease))

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        return await self._read(partial(pulling.standing, now=self._clock(), tokens=tokens))

    async def overtime(self) -> list[Held]:
        return await self._read(partial(pulling.overtime, now=self._clock()))
