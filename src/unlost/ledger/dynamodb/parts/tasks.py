"""What is done to tasks, and what is read of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from unlost.ledger.dynamodb.parts.opened import Opened
from unlost.ledger.dynamodb.records import copying, counting
from unlost.ledger.dynamodb.tasks import acts, explaining, listing, reading, submitting
from unlost.ledger.values import (
    EVERYTHING,
    ROOM,
    Cohorts,
    Copy,
    Counts,
    Entry,
    Page,
    Part,
    Query,
    Submitted,
    Verdict,
)
from unlost.limits.why import MOST_BEFORE, Facts
from unlost.task import Act, Event, Record, Submission


class Tasks(Opened):
    """Keeps the promises of `protocol.Tasks` and `Records`."""

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        now = self._clock()
        async with self._telling(now) as tell:
            return await submitting.submit(
                self._calls, tell, submissions, self._positions, now, self._patience
            )

    async def compare(self, submissions: Sequence[Submission]) -> list[Verdict | None]:
        return await submitting.compare(self._calls, submissions)

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        stored = await reading.find(self._calls, task_id)
        if stored is None:
            return None
        return (await reading.records(self._calls, [stored], parts))[0]

    async def facts(
        self, task_ids: Collection[str], most_before: int = MOST_BEFORE
    ) -> dict[str, Facts]:
        controls = {control.type: control for control in await self._controls.all()}
        now = self._clock()
        return await explaining.facts(self._calls, controls, task_ids, most_before, now)

    async def page(self, query: Query) -> Page:
        return await listing.page(self._calls, query)

    async def counts(self) -> Counts:
        now = self._clock()
        paused, pulled = await self._controls.paused(now), await self._controls.pulled(now)
        return await counting.counts(self._calls, paused, pulled, now)

    async def cohorts(self) -> Cohorts:
        """What is counted as accepted so far, for the audit."""
        return await counting.cohorts(self._calls)

    async def rates(self) -> tuple[float, float]:
        """Tasks accepted and settled a second, in the newest minute that is counted whole."""
        return await counting.rates(self._calls, self._clock())

    async def entries(self, after: int, limit: int, room: int = ROOM) -> list[Entry]:
        return await reading.entries(self._calls, after, limit, room)

    async def copies(self, after: int, limit: int, room: int = ROOM) -> list[tuple[int, Copy]]:
        return await copying.copies(self._calls, after, limit, room)

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        now = self._clock()
        async with self._telling(now) as tell:
            return await copying.restore(
                self._calls, tell, copies, self._places, now, self._patience
            )

    async def cancel(
        self, task_id: str, by: str | None, reason: str | None, *, api_key: str | None = None
    ) -> None:
        act = Act(self._clock(), Event.CANCEL, by, reason, api_key)
        async with self._telling(act.at) as tell:
            await acts.cancel(self._calls, tell, task_id, act)
