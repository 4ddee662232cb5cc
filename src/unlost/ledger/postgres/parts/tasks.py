"""What is done to tasks, and what is read of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

from unlost.ledger.calls import Who
from unlost.ledger.postgres.connection.connecting import Place
from unlost.ledger.postgres.connection.faults import Raced
from unlost.ledger.postgres.connection.joining import Joined
from unlost.ledger.postgres.connection.store import SOON
from unlost.ledger.postgres.parts.opened import Opened
from unlost.ledger.postgres.records import copying, counting
from unlost.ledger.postgres.tasks import acts, explaining, listing, reading, submitting
from unlost.ledger.protocol import Awaiting
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
from unlost.task import Micros, Record, Submission

SLOWEST: Final = 512 * 1024
"""Bytes a second that a submit is given more time for."""

SUBMITS_AT_ONCE: Final = 2
"""Transactions of submits under way while thousands wait: each keeps one processor of the server
busy, and waits for its disk."""

RACES: Final = 60.0
"""Seconds after a race for an id that was lost, for which the next is taken for likely: losing one
costs the connection, and leaves an error in the server's log."""


class Tasks(Opened):
    """Keeps the promises of `protocol.Tasks` and `Records`."""

    def __init__(self, place: Place, clock: Callable[[], Micros] | None = None) -> None:
        super().__init__(place, clock)
        self._submits = Joined(self._submit, weight, SUBMITS_AT_ONCE)
        self._raced_until = 0.0  # by the loop's time

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        submitting.refuse_what_cannot_be(submissions)
        return await self._submits.do(submissions)

    def submit_for(self, submissions: Sequence[Submission], awaiting: Awaiting) -> None:
        submitting.refuse_what_cannot_be(submissions)
        self._submits.begin(submissions).add_done_callback(partial(_tell, awaiting))

    async def _submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        try:
            answers = await self._stored(submissions)
        except Raced:
            self._raced_until = asyncio.get_running_loop().time() + RACES
            answers = await self._stored(submissions)
        if len(answers) < len(submissions):
            others = partial(submitting.compare, submissions=submissions, answers=answers)
            answers = await self._store.read(others)
        return [answers[turn] for turn in range(len(submissions))]

    async def _stored(self, submissions: Sequence[Submission]) -> dict[int, Submitted]:
        """What became of each that was not there before.  Raises Raced."""
        step = partial(
            submitting.submit,
            submissions=submissions,
            committing=self._hints.committing,
            raced=asyncio.get_running_loop().time() < self._raced_until,
        )
        return await self._store.write(step, SOON + sum(map(weight, submissions)) / SLOWEST)

    async def compare(self, submissions: Sequence[Submission]) -> list[Verdict | None]:
        step = partial(submitting.compare_all, submissions=submissions)
        return await self._store.read(step)

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        return await self._store.read(partial(reading.get, task_id=task_id, parts=parts))

    async def facts(
        self, task_ids: Collection[str], most_before: int = MOST_BEFORE
    ) -> dict[str, Facts]:
        step = partial(explaining.facts, task_ids=task_ids, most_before=most_before)
        return await self._store.read(step)

    async def page(self, query: Query) -> Page:
        return await self._store.read(partial(listing.page, query=query))

    async def counts(self) -> Counts:
        return await self._store.read(partial(counting.counts, marks=self._marks))

    async def exact_counts(self) -> Counts:
        return await self._store.look(partial(counting.exact_counts, marks=self._marks))

    async def entries(self, after: int, limit: int, room: int = ROOM) -> list[Entry]:
        step = partial(reading.entries, after=after, limit=limit, room=room)
        return await self._store.read(step)

    async def copies(self, after: int, limit: int, room: int = ROOM) -> list[tuple[int, Copy]]:
        last = await self._store.look(copying.last_position)
        step = partial(copying.copies, after=after, last=last, limit=limit, room=room)
        return await self._store.read(step)

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        submitting.refuse_what_cannot_be(copy.record for copy in copies)
        return await self._store.write(partial(copying.restore, copies=copies))

    async def cancel(
        self, task_id: str, by: str | None, reason: str | None, *, api_key: str | None = None
    ) -> None:
        step = partial(acts.cancel, task_id=task_id, who=Who(by, reason, api_key))
        await self._store.write(step, SOON)


def _tell(awaiting: Awaiting, answer: asyncio.Future[list[Submitted]]) -> None:
    if awaiting.cancelled():
        return
    if (fault := answer.exception()) is not None:
        awaiting.set_exception(fault)
    else:
        awaiting.set_result(answer.result())


def weight(submission: Submission) -> int:
    """Bytes that a submission brings."""
    return len(submission.payload)
