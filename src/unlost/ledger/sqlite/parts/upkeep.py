"""What age does, and what processes measured."""

from __future__ import annotations

from functools import partial

from unlost.ledger.sqlite.parts.opened import Opened
from unlost.ledger.sqlite.upkeep import measuring, purging
from unlost.task import Micros
from unlost.telemetry.measures import Measures


class Upkeep(Opened):
    """Keeps the promises of `protocol.Upkeep`."""

    async def purge(self, before: Micros, limit: int) -> int:
        return await self._do(partial(purging.purge, before=before, limit=limit), patient=True)

    async def open_measures(self, process: str) -> None:
        await self._do(partial(measuring.open_row, process=process))

    async def publish_measures(self, process: str, measures: Measures) -> bool:
        return await self._do(partial(measuring.publish, process=process, measures=measures))

    async def close_measures(self, process: str, measures: Measures) -> None:
        await self._do(partial(measuring.close_row, process=process, measures=measures))

    async def sum_measures(self) -> Measures:
        return await self._read(measuring.published)
