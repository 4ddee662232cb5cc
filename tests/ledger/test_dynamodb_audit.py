"""The audit of a table: quiet beside live traffic, and not to be fooled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from zlib import crc32

import pytest

from tests.aws.emulator import Emulator
from tests.conformance.stage import Clock, Stage
from tests.ledger.place import Place
from tests.ledger.tables import SHARDS, Table
from unlost.audit import Audit, audit
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.dynamodb.records import counting
from unlost.ledger.protocol import Refused
from unlost.task import SECOND, Micros

FASTER = 30
"""Minutes of the ledger's clock in a minute."""


@pytest.fixture
async def place(emulator: Emulator, clock: Clock) -> AsyncIterator[Place]:
    with Table(emulator.url) as table:
        place = Place(table, clock)
        yield place
        await place.own.close()


async def no_sleep(_: float) -> None:
    """The counters of these tests are never behind."""


async def test_each_thing_that_is_gone_or_was_edited_is_named(place: Place) -> None:
    await place.submit("lost", "edited", "broken", "sound")
    await place.bury("without an attempt", "without an act")
    await place.ledger.redrive("without an act", "ann", None)
    place.remove("lost")
    place.remove("without an attempt", "a#000001")
    place.remove("without an act", "h#000001")
    place.edit("edited", "state", {"S": "succeeded"})
    place.edit("broken", "state", {"S": "nonsense"})
    found = await audit(place.ledger, no_sleep)
    assert (found.ok, found.accepted, found.lost) == (False, 6, 2)
    named = {item.task_id for item in found.violations}
    assert named == {None, "edited", "without an attempt", "without an act"}


async def test_an_index_that_lags_is_waited_for(place: Place) -> None:
    await place.submit("a")
    place.index.stop()
    assert (await audit(place.ledger)).ok
    await place.submit("b")

    async def the_index_goes_on(_: float) -> None:
        place.index.go()

    found = await audit(place.ledger, the_index_goes_on)
    assert found.violations == []
    assert found.accepted == 2


class Busy(Stage):
    """A table with traffic, whose counters are behind, on a clock that is faster than ours."""

    lease = 3_600 * SECOND  # by the fast clock; half a minute of it passes in a pause of a second

    def __init__(self, table: Table) -> None:
        self.table = table
        began, start = time.monotonic(), Clock()

        def clock() -> Micros:
            return start.now + round((time.monotonic() - began) * FASTER * SECOND)

        self.own = DynamoLedger(table.name, clock, shards=SHARDS, client=table.client)
        self.counted = 0

        async def opener() -> DynamoLedger:
            return self.own

        super().__init__(self.own, start, opener)

    async def work(self, name: str) -> None:
        """Submit, succeed, fail, die, redrive and cancel, again and again."""
        for number in range(100_000):
            await self.submit(*(f"{name}/{number}/{letter}" for letter in "abc"))
            for attempt in await self.claim(4, worker=name):
                may_retry = attempt.spent <= attempt.max_retries
                ends = (self.succeed, self.retry if may_retry else self.die, self.die)
                await ends[crc32(attempt.token.encode()) % 3](attempt)
            with suppress(Refused):
                await self.ledger.cancel(f"{name}/{number}/c", None, None)
            with suppress(Refused):
                await self.ledger.redrive(f"{name}/{number}/a", None, None)
            await asyncio.sleep(0.05)

    async def count(self) -> None:
        """Count what the stream brings, a moment later."""
        calls = self.own._calls
        while True:
            batches = await asyncio.to_thread(lambda: list(self.table.stream.batches()))
            await asyncio.sleep(0.3)
            for batch in batches:
                self.counted += await counting.apply(calls, batch)

    async def audit(self) -> Audit:
        return await audit(self.ledger, lambda seconds: asyncio.sleep(seconds / FASTER))


@asynccontextmanager
async def busy(table: Table) -> AsyncIterator[Busy]:
    stage = Busy(table)
    steps = [stage.work("one"), stage.work("two"), stage.count()]
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        yield stage
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        await stage.own.close()
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 3, ends


async def test_live_traffic_makes_no_false_alarm_and_hides_no_loss(emulator: Emulator) -> None:
    with Table(emulator.url) as table:
        async with busy(table) as stage:
            await stage.submit("lost", "edited", delay=1e6)
            audits = 0
            while audits < 2 or stage.counted <= 50:  # few are counted on a machine that is busy
                found = await stage.audit()
                assert found.violations == []
                assert found.lost == 0
                audits += 1
            tools = Place(table, stage.clock)
            tools.remove("lost")
            tools.edit("edited", "state", {"S": "succeeded"})
            found = await stage.audit()
            assert (found.ok, found.lost) == (False, 1)
            assert {item.task_id for item in found.violations} == {None, "edited"}
            await tools.own.close()
