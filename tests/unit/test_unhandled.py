"""Types that wait with no worker for them are warned of, and only those."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.unit.stage import submission
from tests.unit.virtual import clock, in_virtual_time
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import Worker
from unlost.task import SECOND
from unlost.upkeep.unhandled import Unhandled


async def watched_for(ledger: MemoryLedger, seconds: float) -> None:
    looking = asyncio.create_task(Unhandled(ledger, asyncio.get_running_loop().time).run())
    await asyncio.sleep(seconds)
    looking.cancel()


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    records = [one for one in caplog.records if one.message == "task.unhandled"]
    return [vars(one)["type"] for one in records]


@in_virtual_time
async def test_a_type_that_nobody_handles_is_warned_of_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = MemoryLedger(clock)
    await ledger.submit([submission("t", type="orphan")])
    with caplog.at_level(logging.WARNING, "unlost"):
        await watched_for(ledger, 119)
    assert warned(caplog) == ["orphan", "orphan"]


@in_virtual_time
async def test_a_worker_that_is_being_started_again_is_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = MemoryLedger(clock)
    await ledger.submit([submission("t")])
    with caplog.at_level(logging.WARNING, "unlost"):
        looking = asyncio.create_task(watched_for(ledger, 60))
        await asyncio.sleep(2)
        await ledger.enlist(Worker("late"), 3600 * SECOND)
        await looking
    assert warned(caplog) == []
