"""How the service is: counts, rates, audit, health."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from unlost.access.caller import Caller
from unlost.api.answers import rendering
from unlost.api.calls.submitting.backlog import Backlog, outstanding
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import status as op
from unlost.api.openapi.schemas.status import HealthBody, RatesBody, StatsBody
from unlost.api.problems import RETRY_AFTER, Unavailable
from unlost.api.request.caller import caller_of
from unlost.audit import FOLLOWED, REDRIVES, SCHEDULES, TWICE, Audit, Violation, audit
from unlost.audit.schedules import PAGE
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Counts
from unlost.task import State

WINDOW: Final = 10.0
"""Seconds over which rates are taken."""

APART: Final = 0.1
"""Seconds, at least, between two times whose counters are kept for that, however many ask."""

READY_WITHIN: Final = 2.0
"""Seconds in which a ledger that is ready answers."""

WRITE_EVERY: Final = 0.1
"""Seconds from one write that shows that it does to the next."""

NAMING: Final = frozenset((FOLLOWED, REDRIVES, SCHEDULES, TWICE))
"""Promises whose details name others than the task that they are about, of whichever types."""

NOT_TOLD: Final = "a key that is bounded to types is not told more"

RatesOf = Callable[[], Awaitable[tuple[float, float]]]
"""Tells the tasks submitted and settled a second."""


class Rates:
    """Tasks a second, from what the counters were at different times (monotonic seconds)."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def observe(self, at: float, counts: Counts) -> RatesBody:
        """Take note of the counters; returns the rates up to now."""
        if not self._seen or at - self._seen[-1][0] >= APART:
            self._seen.append((at, counts.accepted, counts.settled))
        while len(self._seen) > 2 and self._seen[1][0] <= at - WINDOW:
            self._seen.popleft()
        start, accepted, settled = self._seen[0]
        seconds = at - start
        if seconds <= 0:
            return RatesBody(0.0, 0.0)
        return RatesBody(
            round(max(0, counts.accepted - accepted) / seconds, 3),
            round(max(0, counts.settled - settled) / seconds, 3),
        )


class Status:
    """The endpoints that say how it stands."""

    def __init__(self, ledger: Ledger, backlog: Backlog, rates: RatesOf | None = None) -> None:
        self._ledger = ledger
        self._backlog = backlog
        self._rates = Rates()
        self._told_rates = rates
        self._audit: asyncio.Task[Audit] | None = None
        self._ping: asyncio.Task[None] | None = None
        self._pinged = -math.inf

    def routes(self) -> list[Route]:
        """What leads here."""
        return [
            Route(op.STATS, responding(self.stats)),
            Route(op.AUDIT, responding(self.audit)),
            Route(op.LIVE, responding(self.live)),
            Route(op.READY, responding(self.ready)),
        ]

    async def current(self) -> StatsBody:
        """The counters and rates as of now."""
        counts = await self._ledger.counts()
        self._backlog.note(counts)
        return StatsBody(
            accepted=counts.accepted,
            outstanding=outstanding(counts),
            lost=counts.lost,
            states={state.value: counts.states.get(state, 0) for state in State},
            rates=await self._rates_of(counts),
            unhandled_types=sorted(counts.unhandled),
        )

    async def _rates_of(self, counts: Counts) -> RatesBody:
        if self._told_rates is not None:
            return RatesBody(*(round(rate, 3) for rate in await self._told_rates()))
        return self._rates.observe(asyncio.get_running_loop().time(), counts)

    async def stats(self, request: Request) -> Response:
        """The counters."""
        return rendering.answer(await self.current())

    async def audit(self, request: Request) -> Response:
        """The audit; those who ask while one runs get the same."""
        if self._audit is None or self._audit.done():
            self._audit = asyncio.create_task(audit(self._ledger))
        found = await asyncio.shield(self._audit)
        return rendering.answer(await self._seen(found, caller_of(request.scope)))

    async def _seen(self, found: Audit, caller: Caller) -> Audit:
        """The audit as far as it is there for the caller: the sums are the whole service's."""
        if caller.types is None:
            return found
        records = [
            None if one.task_id is None else await self._ledger.get(one.task_id, ())
            for one in found.violations
        ]
        violations = [
            _nameless(one)
            for one, record in zip(found.violations, records, strict=True)
            if one.task_id is None or (record is not None and caller.sees(record.type))
        ]
        after, there = "", set()
        while page := await self._ledger.schedules(after, PAGE, payloads=False):
            there |= {one.id for one in page if caller.sees(one.plan.type)}
            after = page[-1].id
        schedules = [one for one in found.schedules if one.id in there]
        return replace(found, violations=violations, schedules=schedules)

    async def live(self, request: Request) -> Response:
        """This process runs."""
        return rendering.answer(HealthBody("alive"))

    async def ready(self, request: Request) -> Response:
        """The ledger answers a write in time, or 503 says why not."""
        try:
            async with asyncio.timeout(READY_WITHIN):
                await self._answers()
        except TimeoutError:
            reason = f"the ledger has not answered a write within {READY_WITHIN:g} seconds"
        except LedgerUnavailable as error:
            raise _not_ready(request, f"the ledger {error.words}") from error
        else:
            return rendering.answer(HealthBody("ready"))
        raise _not_ready(request, reason)

    async def _answers(self) -> None:
        """The ledger answers a write; those who ask while one runs, or soon after, share one: each
        costs as much as a task, and anybody may ask.  Raises LedgerUnavailable."""
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._write_soon())
            self._ping.add_done_callback(_heard)
        await asyncio.shield(self._ping)

    async def _write_soon(self) -> None:
        now = asyncio.get_running_loop().time
        await asyncio.sleep(max(0, self._pinged + WRITE_EVERY - now()))
        self._pinged = now()
        await self._ledger.ping()


def _heard(ping: asyncio.Task[None]) -> None:
    """See what a write has raised, though nobody may wait for it any more."""
    if not ping.cancelled():
        ping.exception()


def _nameless(one: Violation) -> Violation:
    """The violation for who may not be told what its detail names."""
    return replace(one, detail=NOT_TOLD) if one.promise in NAMING else one


def _not_ready(request: Request, reason: str) -> Unavailable:
    """The refusal, which tells the reason to who is known, where keys are needed."""
    told = reason if caller_of(request.scope).is_known else "the service is not ready"
    return Unavailable(told, headers=RETRY_AFTER)
