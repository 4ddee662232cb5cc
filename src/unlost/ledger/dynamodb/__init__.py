"""The ledger in one DynamoDB table, for any number of processes and functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from unlost.control import Pause
from unlost.ledger.dynamodb import (
    acts,
    attempts,
    claiming,
    copying,
    counting,
    deaths,
    holding,
    listing,
    overdue,
    purging,
    reading,
    runs,
    submitting,
    workers,
)
from unlost.ledger.dynamodb.announce import Announce, Telling
from unlost.ledger.dynamodb.calls import Calls
from unlost.ledger.dynamodb.claiming import NotClaimed
from unlost.ledger.dynamodb.copying import Places
from unlost.ledger.dynamodb.deaths import ReportIds
from unlost.ledger.dynamodb.nearby import hints_of
from unlost.ledger.dynamodb.pausing import Pauses
from unlost.ledger.dynamodb.schema import PING
from unlost.ledger.dynamodb.submitting import Positions
from unlost.ledger.dynamodb.writes import Add
from unlost.ledger.values import (
    EVERYTHING,
    Claim,
    Claimed,
    Cohorts,
    Copy,
    Counts,
    Entry,
    Group,
    Held,
    Page,
    Part,
    Query,
    Report,
    Selection,
    Settlement,
    Submitted,
    Transition,
    Verdict,
    Worker,
)
from unlost.policy import Limits
from unlost.task import SECOND, Act, Event, Micros, Record, Submission

PATIENCE: Micros = 60 * SECOND
"""How long a task that somebody was told of may be overdue before the sweep looks at it."""


class DynamoLedger:
    """A `Ledger` in the table `table`, which has the shape of `schema.definition`.

    Any number of processes may open it.  Whatever it answers is in the table.  Lists and what is
    due come from indexes, which lag on AWS by a second or so; counts follow the table's stream
    (`counting`).  `announce` is told of what is due and of deaths, after each step; `wait` and
    `transitions` know the steps that are taken in this process.  `client` is a boto3 client to
    use; `shards` is for a table that is new.  One event loop at a time.
    """

    def __init__(
        self,
        table: str,
        clock: Callable[[], Micros],
        *,
        shards: int | None = None,
        announce: Announce | None = None,
        client: Any = None,
    ) -> None:
        self._calls = Calls(table, client, shards=shards)
        self._clock = clock
        self._announce = announce
        self._patience = 0 if announce is None else PATIENCE
        self._pauses = Pauses(self._calls)
        self._positions = Positions()
        self._places = Places()
        self._report_ids = ReportIds()

    async def open(self) -> None:
        """See that the table is there, and a ledger.  Raises NotALedger, LedgerUnavailable."""
        await self._calls.open()

    @asynccontextmanager
    async def _telling(self, now: Micros) -> AsyncIterator[Telling]:
        """What is committed is announced, though what follows it may fail."""
        tell = Telling(hints_of(self._calls.store), self._announce, now)
        try:
            yield tell
        finally:
            await tell.announced(self._calls)

    # Submitting and reading

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        now = self._clock()
        async with self._telling(now) as tell:
            return await submitting.submit(
                self._calls, tell, submissions, self._positions, now, self._patience
            )

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        stored = await reading.find(self._calls, task_id)
        if stored is None:
            return None
        return (await reading.records(self._calls, [stored], parts))[0]

    async def page(self, query: Query) -> Page:
        return await listing.page(self._calls, query)

    async def groups(self) -> list[Group]:
        return await listing.groups(self._calls)

    async def counts(self) -> Counts:
        now = self._clock()
        return await counting.counts(self._calls, await self._pauses.names(now), now)

    async def cohorts(self) -> Cohorts:
        """What is counted as accepted so far, for the audit."""
        return await counting.cohorts(self._calls)

    async def rates(self) -> tuple[float, float]:
        """Tasks accepted and settled a second, in the newest minute that is counted whole."""
        return await counting.rates(self._calls, self._clock())

    async def entries(self, after: int, limit: int) -> list[Entry]:
        return await listing.entries(self._calls, after, limit)

    async def copies(self, after: int, limit: int) -> list[tuple[int, Copy]]:
        return await copying.copies(self._calls, after, limit)

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        now = self._clock()
        async with self._telling(now) as tell:
            return await copying.restore(
                self._calls, tell, copies, self._places, now, self._patience
            )

    # Attempts

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        await workers.enlist(self._calls, worker, lease, self._clock())

    async def extend(self, workers_: Collection[str], lease: Micros) -> set[str]:
        return await workers.extend(self._calls, workers_, lease, self._clock())

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        await workers.dismiss(self._calls, worker, self._clock(), expired=expired)

    async def claim(self, claim: Claim) -> list[Claimed]:
        now = self._clock()
        async with self._telling(now) as tell:
            paused = await self._pauses.names(now)
            return await claiming.claim(self._calls, tell, claim, paused, now, self._patience)

    async def claim_task(
        self,
        task_id: str,
        *,
        token: str,
        worker: str,
        limits: Mapping[str, Limits] | None,
        defaults: Limits,
        lease: Micros,
    ) -> Claimed | NotClaimed:
        """Start an attempt of this one task if it is due, under a lease of its own.

        `limits` are the types served, with their handlers' limits; None serves every type.  The
        worker need not be enlisted.  Once `lease` is over, `held(None)` names the attempt, as
        soon as `hint_overdue` has met it.  The same token again, after an unknown outcome, is
        answered with the attempt that it started.
        """
        wanted = Claim(worker, (token,), limits, defaults)
        now = self._clock()
        async with self._telling(now) as tell:
            paused = await self._pauses.names(now)
            return await claiming.claim_task(self._calls, tell, task_id, wanted, paused, lease, now)

    async def due_in(self, types: Collection[str] | None, *, alone: bool = False) -> Micros | None:
        now = self._clock()
        paused = await self._pauses.names(now)
        return await claiming.due_in(self._calls, types, paused, now, alone=alone)

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        now = self._clock()
        new_id = partial(self._report_ids.next, now)
        async with self._telling(now) as tell:
            return await attempts.settle(
                self._calls, tell, settlements, now, self._patience, new_id
            )

    async def held(self, worker: str | None) -> list[Held]:
        now = self._clock()
        if worker is not None:
            return await holding.held_by(self._calls, worker, now)
        return await workers.left_behind(self._calls, now)

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        return await holding.dropped(self._calls, tokens)

    # What people do

    async def cancel(self, task_id: str, by: str | None, reason: str | None) -> None:
        act = Act(self._clock(), Event.CANCEL, by, reason)
        async with self._telling(act.at) as tell:
            await acts.cancel(self._calls, tell, task_id, act)

    async def redrive(
        self, task_id: str, by: str | None, reason: str | None, payload: str | None = None
    ) -> None:
        act = Act(self._clock(), Event.REDRIVE, by, reason)
        async with self._telling(act.at) as tell:
            await acts.redrive(self._calls, tell, task_id, act, payload, self._patience)

    async def redrive_many(
        self, selection: Selection, by: str | None, reason: str | None
    ) -> tuple[int, bool]:
        act = Act(self._clock(), Event.REDRIVE, by, reason)
        async with self._telling(act.at) as tell:
            return await runs.redrive_many(self._calls, tell, selection, act, self._patience)

    async def discard(self, task_id: str, by: str | None, reason: str | None) -> None:
        act = Act(self._clock(), Event.DISCARD, by, reason)
        async with self._telling(act.at) as tell:
            await acts.discard(self._calls, tell, task_id, act)

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        await self._pauses.pause(Pause(task_type, self._clock(), by, reason))

    async def resume(self, task_type: str) -> None:
        now = self._clock()
        async with self._telling(now) as tell:
            await self._pauses.resume(task_type, tell, now)

    async def pauses(self) -> list[Pause]:
        return await self._pauses.all()

    # Reports and upkeep

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        return await deaths.claim_reports(self._calls, limit, lease, self._clock())

    async def claim_report(self, report_id: int, lease: Micros) -> Report | None:
        """Lease this one report; None where it was recorded as made, or is leased."""
        return await deaths.claim_report(self._calls, report_id, lease, self._clock())

    async def reported(self, report_ids: Collection[int]) -> None:
        await deaths.reported(self._calls, report_ids)

    async def hint_overdue(self, limit: int) -> int:
        """Look at up to `limit` tasks that nobody has brought on; how many were, or are paused."""
        now = self._clock()
        async with self._telling(now) as tell:
            paused = await self._pauses.names(now)
            return await overdue.hint_overdue(self._calls, tell, paused, now, self._patience, limit)

    async def hint_deaths(self, limit: int) -> int:
        """Announce anew up to `limit` deaths that wait too long for their report; how many."""
        now = self._clock()
        async with self._telling(now) as tell:
            return await overdue.hint_deaths(self._calls, tell, now, limit)

    async def purge(self, before: Micros, limit: int) -> int:
        return await purging.purge(self._calls, before, limit, self._clock())

    async def ping(self) -> None:
        await self._calls.write(Add(PING, {}, {"pinged_at": self._clock()}))

    # Hints

    async def wait(self, seconds: float) -> None:
        await hints_of(self._calls.store).wait(seconds)

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        return hints_of(self._calls.store).transitions()

    async def close(self) -> None:
        await asyncio.to_thread(self._calls.close)
