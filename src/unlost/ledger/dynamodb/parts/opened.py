"""A table as one ledger object has it open, and what is the same for all its steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Any

from unlost.ledger.dynamodb.attempts.naming import Named
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.connection.retrying import Retrying
from unlost.ledger.dynamodb.connection.rights import lacking
from unlost.ledger.dynamodb.connection.writes import Put
from unlost.ledger.dynamodb.controls.controlling import Controls
from unlost.ledger.dynamodb.dead_letters.reporting import ReportIds
from unlost.ledger.dynamodb.hints.local import hints_of
from unlost.ledger.dynamodb.hints.telling import Announce, Telling, log
from unlost.ledger.dynamodb.records.copying import Places
from unlost.ledger.dynamodb.schema import PING
from unlost.ledger.dynamodb.stored.positions import Positions
from unlost.ledger.protocol import LedgerUnfit
from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken
from unlost.task import SECOND, Micros
from unlost.telemetry.seldom import Seldom

PATIENCE: Micros = 60 * SECOND
"""How long a task that somebody was told of may be overdue before the sweep looks at it."""


class Opened:
    """The table, by whose clock its steps are taken, whom they tell, and what is remembered."""

    def __init__(
        self,
        table: str,
        clock: Callable[[], Micros],
        *,
        shards: int | None = None,
        announce: Announce | None = None,
        client: Any = None,
        retrying: Retrying | None = None,
    ) -> None:
        self._calls = Calls(table, client, shards=shards, retrying=retrying)
        self._clock = clock
        self._announce = announce
        self._lost = Seldom(log, "hints.lost")
        self._patience = 0 if announce is None else PATIENCE
        self._controls = Controls(self._calls)
        self._named = Named(self._calls)
        self._random = Random()
        self._positions = Positions()
        self._places = Places()
        self._report_ids = ReportIds()

    async def open(self) -> None:
        """See that the table is there, and a ledger.  Raises NotALedger, LedgerUnavailable."""
        await self._calls.open()

    async def check(self) -> None:
        """See that a service may do with the table all that it does.  Raises LedgerUnfit."""
        if found := await lacking(self._calls):
            words = "lacks a permission that this service needs"
            raise LedgerUnfit("; ".join(found), words=words)

    @asynccontextmanager
    async def _telling(self, now: Micros) -> AsyncIterator[Telling]:
        """What is committed is announced, though what follows it may fail."""
        tell = Telling(hints_of(self._calls.store), self._announce, self._lost, now)
        try:
            yield tell
        finally:
            await tell.announced(self._calls, self._controls.known, self._clock())

    async def ping(self) -> None:
        pk, sk = PING
        # As a submit does: a role may be allowed one kind of write and not the other.
        await self._calls.write(Put({"pk": pk, "sk": sk, "pinged_at": self._clock()}))

    async def wait(self, seconds: float) -> Woken:
        return await hints_of(self._calls.store).wait(seconds)

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        return hints_of(self._calls.store).transitions()

    async def close(self) -> None:
        await asyncio.to_thread(self._calls.close)
