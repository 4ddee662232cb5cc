"""What age does, and what nobody was told of."""

from __future__ import annotations

from unlost.ledger.dynamodb.parts.opened import Opened
from unlost.ledger.dynamodb.upkeep import overdue, paced, purging
from unlost.task import Micros


class Upkeep(Opened):
    """Keeps the promises of `protocol.Upkeep`."""

    async def hint_overdue(self, limit: int) -> int:
        """Look at up to `limit` tasks that nobody has brought on; how many were, or are paused."""
        now = self._clock()
        async with self._telling(now) as tell:
            paused = await self._controls.paused(now)
            for name in await self._controls.startable(now):
                tell.room_for_one(name)
            return await overdue.hint_overdue(self._calls, tell, paused, now, self._patience, limit)

    async def hint_paced(self) -> int:
        """Hint as many tasks as the rates of their types let start until after the next sweep, a
        minute from now, and that nobody has told of it; how many."""
        now = self._clock()
        if self._patience == 0:
            return 0
        async with self._telling(now) as tell:
            names, known = await self._controls.startable(now), await self._controls.known(now)
            return await paced.hint_paced(self._calls, tell, [known[one] for one in names], now)

    async def hint_deaths(self, limit: int) -> int:
        """Announce anew up to `limit` deaths that wait too long for their report; how many."""
        now = self._clock()
        async with self._telling(now) as tell:
            return await overdue.hint_deaths(self._calls, tell, now, limit)

    async def purge(self, before: Micros, limit: int) -> int:
        return await purging.purge(self._calls, before, limit, self._clock())
