"""Redrives, and their steps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from unlost.ledger.dynamodb.dead_letters import redrives, stepping
from unlost.ledger.dynamodb.parts.opened import Opened
from unlost.ledger.values import RedriveCopy, RedrivePlace, RedriveQuery
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import Micros


class Redrives(Opened):
    """Keeps the promises of `protocol.Redrives`; `announce` is told which step is to be made."""

    async def add_redrive(self, new: Redrive, named: Named) -> tuple[Redrive, bool]:
        now = self._clock()
        async with self._telling(now) as tell:
            redrive, fresh = await redrives.add(self._calls, new, named, now)
            tell.goes_on(redrive)
        return redrive, fresh

    async def begun(self, seconds: float) -> None:
        await asyncio.sleep(seconds)  # nobody tells

    async def get_redrive(self, redrive_id: str) -> Redrive | None:
        kept = await redrives.find(self._calls, redrive_id)
        return None if kept is None else kept.redrive

    async def list_redrives(self, query: RedriveQuery) -> list[Redrive]:
        return await redrives.page(self._calls, query)

    async def stop_redrive(self, redrive_id: str, why: str) -> Redrive:
        now = self._clock()
        async with self._telling(now) as tell:
            redrive = await redrives.stop(self._calls, redrive_id, why, now)
            tell.goes_on(redrive)
        return redrive

    async def step_redrive(self, redrive_id: str) -> Redrive:
        now = self._clock()
        async with self._telling(now) as tell:
            redrive = await stepping.step(self._calls, tell, redrive_id, now, self._patience)
            if stepping.next_look(redrive, now, self._patience) is not None:
                tell.goes_on(redrive)
        return redrive

    async def open_redrives(
        self, limit: int, after: RedrivePlace | None = None
    ) -> list[RedrivePlace]:
        return await redrives.going(self._calls, limit, after)

    async def count_redrives(self) -> dict[RedriveState, int]:
        return await redrives.counts(self._calls)

    async def purge_redrives(self, before: Micros, limit: int) -> int:
        return await redrives.purge(self._calls, before, limit)

    async def copy_redrives(self, after: str, limit: int) -> list[RedriveCopy]:
        return await redrives.copies(self._calls, after, limit)

    async def restore_redrives(self, copies: Sequence[RedriveCopy]) -> None:
        await redrives.restore(self._calls, copies)
