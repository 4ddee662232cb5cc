"""What is done to tasks, and what is read of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from unlost.ledger.calls import Who
from unlost.ledger.protocol import Awaiting
from unlost.ledger.sqlite.parts.opened import Opened
from unlost.ledger.sqlite.records import copying, counting
from unlost.ledger.sqlite.tasks import acts, explaining, listing, reading, submitting
from unlost.ledger.values import (
    EVERYTHING,
    ROOM,
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
from unlost.task import Record, Submission

RESTORE_AT_ONCE = 500
"""Copies kept in one transaction."""


class Tasks(Opened):
    """Keeps the promises of `protocol.Tasks` and `Records`."""

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        return await self._writer.do_joint(submitting.submit, submissions)

    def submit_for(self, submissions: Sequence[Submission], awaiting: Awaiting) -> None:
        self._writer.begin_joint(submitting.submit, submissions, awaiting)

    async def compare(self, submissions: Sequence[Submission]) -> list[Verdict | None]:
        return await self._read(partial(submitting.compare, submissions=submissions))

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        return await self._read(partial(reading.get, task_id=task_id, parts=parts))

    async def facts(
        self, task_ids: Collection[str], most_before: int = MOST_BEFORE
    ) -> dict[str, Facts]:
        step = partial(
            explaining.facts, now=self._clock(), task_ids=task_ids, most_before=most_before
        )
        return await self._read(step)

    async def page(self, query: Query) -> Page:
        return await self._read(partial(listing.page, query=query))

    async def counts(self) -> Counts:
        return await self._read(partial(counting.counts, now=self._clock()))

    async def entries(self, after: int, limit: int, room: int = ROOM) -> list[Entry]:
        return await self._read(partial(reading.entries, after=after, limit=limit, room=room))

    async def copies(self, after: int, limit: int, room: int = ROOM) -> list[tuple[int, Copy]]:
        return await self._read(partial(copying.copies, after=after, limit=limit, room=room))

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for start in range(0, len(copies), RESTORE_AT_ONCE):
            batch = copies[start : start + RESTORE_AT_ONCE]
            verdicts += await self._do(partial(copying.restore, copies=batch), patient=True)
        return verdicts

    async def cancel(
        self, task_id: str, by: str | None, reason: str | None, *, api_key: str | None = None
    ) -> None:
        who = Who(by, reason, api_key)
        await self._do(partial(acts.cancel, task_id=task_id, who=who))
