"""Redrives, and their steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from unlost.batches import BatchSize
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite.connection.pressing import BESIDE
from unlost.ledger.sqlite.controls import pacing
from unlost.ledger.sqlite.dead_letters import redrives, stepping
from unlost.ledger.sqlite.parts.opened import Opened
from unlost.ledger.values import RedriveCopy, RedrivePlace, RedriveQuery
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import Micros

REDRIVE_AT_ONCE = 500
"""Dead letters redriven in one transaction: while two busy workers claim and settle once each, some
400 letters end, and with fewer the workers would find less than they have room for."""

FORGET_AT_ONCE = 1_000
"""Paces dropped in one transaction."""


class Redrives(Opened):
    """Keeps the promises of `protocol.Redrives`."""

    _redriving = BatchSize.of(REDRIVE_AT_ONCE)

    async def add_redrive(self, new: Redrive, named: Named) -> tuple[Redrive, bool]:
        return await self._do(partial(redrives.add, new=new, named=named))

    async def begun(self, seconds: float) -> None:
        await self._hints.begun(seconds)

    async def get_redrive(self, redrive_id: str) -> Redrive | None:
        return await self._read(partial(redrives.find, redrive_id=redrive_id))

    async def list_redrives(self, query: RedriveQuery) -> list[Redrive]:
        return await self._read(partial(redrives.listed, query=query))

    async def stop_redrive(self, redrive_id: str, why: str) -> Redrive:
        return await self._do(partial(redrives.stop, redrive_id=redrive_id, why=why))

    async def step_redrive(self, redrive_id: str) -> Redrive:
        most = min(self._redriving.now, BESIDE if self._writer.pressed else REDRIVE_AT_ONCE)
        step = partial(
            stepping.step, redrive_id=redrive_id, most=most, waited_for=self._writer.waited_for
        )
        try:
            redrive = await self._do(step, patient=True)
        except LedgerUnavailable:
            self._redriving = self._redriving.failed(most)
            raise
        self._redriving = self._redriving.succeeded()
        return redrive

    async def open_redrives(
        self, limit: int, after: RedrivePlace | None = None
    ) -> list[RedrivePlace]:
        return await self._read(partial(redrives.open_ones, limit=limit, after=after))

    async def count_redrives(self) -> dict[RedriveState, int]:
        return await self._read(redrives.counts)

    async def purge_redrives(self, before: Micros, limit: int) -> int:
        purged = await self._do(partial(redrives.purge, before=before, limit=limit), patient=True)
        if purged < limit:  # else this is called again
            step = partial(pacing.forget_idle, limit=FORGET_AT_ONCE)
            while await self._do(step, patient=True) == FORGET_AT_ONCE:
                pass
        return purged

    async def copy_redrives(self, after: str, limit: int) -> list[RedriveCopy]:
        return await self._read(partial(redrives.copies, after=after, limit=limit))

    async def restore_redrives(self, copies: Sequence[RedriveCopy]) -> None:
        await self._do(partial(redrives.restore, copies=copies))
