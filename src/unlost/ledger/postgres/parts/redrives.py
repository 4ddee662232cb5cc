"""Redrives, and their steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from unlost.batches import BatchSize
from unlost.ledger.postgres.connection.store import SOON
from unlost.ledger.postgres.controls import pacing
from unlost.ledger.postgres.dead_letters import burying, redrives, stepping
from unlost.ledger.postgres.parts.opened import Opened
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import RedriveCopy, RedrivePlace, RedriveQuery
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import Micros

REDRIVE_AT_ONCE: Final = 500
"""Dead letters redriven in one transaction, so that others need not wait long for it."""

FORGET_AT_ONCE: Final = 1_000
"""Rows of groups looked at in one transaction for those of which no letter is left; and paces
dropped in one."""

FORGET_STRETCHES: Final = 30
"""Such transactions in a row: redrives go on only after them."""


class Redrives(Opened):
    """Keeps the promises of `protocol.Redrives`."""

    _redriving = BatchSize.of(REDRIVE_AT_ONCE)
    _forgotten = ""  # the fingerprint behind which groups are looked at next

    async def add_redrive(self, new: Redrive, named: Named) -> tuple[Redrive, bool]:
        return await self._store.write(partial(redrives.add, new=new, named=named), SOON)

    async def begun(self, seconds: float) -> None:
        await self._hints.begun(seconds)

    async def get_redrive(self, redrive_id: str) -> Redrive | None:
        return await self._store.read(partial(redrives.find, redrive_id=redrive_id))

    async def list_redrives(self, query: RedriveQuery) -> list[Redrive]:
        return await self._store.read(partial(redrives.listed, query=query))

    async def stop_redrive(self, redrive_id: str, why: str) -> Redrive:
        step = partial(redrives.stop, redrive_id=redrive_id, why=why)
        return await self._store.write(step, SOON)

    async def step_redrive(self, redrive_id: str) -> Redrive:
        most = self._redriving.now
        step = partial(stepping.step, redrive_id=redrive_id, most=most)
        try:
            redrive = await self._store.write(step)
        except LedgerUnavailable:
            self._redriving = self._redriving.failed(most)
            raise
        self._redriving = self._redriving.succeeded()
        return redrive

    async def open_redrives(
        self, limit: int, after: RedrivePlace | None = None
    ) -> list[RedrivePlace]:
        return await self._store.read(partial(redrives.open_ones, limit=limit, after=after))

    async def count_redrives(self) -> dict[RedriveState, int]:
        return await self._store.read(redrives.counts)

    async def purge_redrives(self, before: Micros, limit: int) -> int:
        purged = await self._store.write(partial(redrives.purge, before=before, limit=limit))
        if purged < limit:  # else this is called again
            await self._forget_empty_groups()
            await self._forget_idle_paces()
        return purged

    async def _forget_empty_groups(self) -> None:
        """Those of a bounded stretch of all groups: the next call goes on behind it."""
        for _ in range(FORGET_STRETCHES):
            step = partial(burying.forget_empty, after=self._forgotten, limit=FORGET_AT_ONCE)
            _, self._forgotten = await self._store.write(step)
            if not self._forgotten:
                break

    async def _forget_idle_paces(self) -> None:
        step = partial(pacing.forget_idle, limit=FORGET_AT_ONCE)
        for _ in range(FORGET_STRETCHES):
            if await self._store.write(step) < FORGET_AT_ONCE:
                break

    async def copy_redrives(self, after: str, limit: int) -> list[RedriveCopy]:
        return await self._store.read(partial(redrives.copies, after=after, limit=limit))

    async def restore_redrives(self, copies: Sequence[RedriveCopy]) -> None:
        await self._store.write(partial(redrives.restore, copies=copies))
