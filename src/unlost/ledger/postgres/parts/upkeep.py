"""What age does, and what processes measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from unlost.ledger.postgres.connection.connecting import Place
from unlost.ledger.postgres.parts.opened import Opened
from unlost.ledger.postgres.upkeep import measuring
from unlost.ledger.postgres.upkeep.purging import Purging
from unlost.task import Micros
from unlost.telemetry.measures import Measures


class Upkeep(Opened):
    """Keeps the promises of `protocol.Upkeep`."""

    def __init__(self, place: Place, clock: Callable[[], Micros] | None = None) -> None:
        super().__init__(place, clock)
        self._purging = Purging(self._pool, self._store)

    async def purge(self, before: Micros, limit: int) -> int:
        return await self._purging.purge(before, limit)

    async def open_measures(self, process: str) -> None:
        await self._store.write(partial(measuring.open_row, process=process))

    async def publish_measures(self, process: str, measures: Measures) -> bool:
        step = partial(measuring.publish, process=process, measures=measures)
        return await self._store.write(step)

    async def close_measures(self, process: str, measures: Measures) -> None:
        await self._store.write(partial(measuring.close_row, process=process, measures=measures))

    async def sum_measures(self) -> Measures:
        return await self._store.read(measuring.published)
