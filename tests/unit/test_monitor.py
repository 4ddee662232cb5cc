"""The monitor, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.stage import Unreliable, submission
from tests.unit.virtual import clock, in_virtual_time
from unlost.ledger.values import Claim, Report, Settlement, Worker
from unlost.policy import Limits, error
from unlost.task import SECOND, Event, Micros, Outcome
from unlost.upkeep.monitor import Monitor


class Log:
    """Takes lines; the next `failures` of them cannot be written."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.failures = 0

    async def write(self, line: bytes) -> None:
        await asyncio.sleep(0.001)
        if self.failures:
            self.failures -= 1
            raise BrokenPipeError
        self.lines.append(line)

    def seen(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]


async def died(ledger: Unreliable, *task_ids: str, payload: str = "{}") -> None:
    await ledger.submit([submission(task_id, payload) for task_id in task_ids])
    await ledger.enlist(Worker("w"), 3600 * SECOND)
    claimed = await ledger.claim(Claim("w", task_ids, None, Limits(0, 60.0)))
    why = error("Boom", "it broke", "a traceback")
    await ledger.settle(
        [Settlement(one.task_id, one.token, Outcome.FAILED, Event.DIE, 0, why) for one in claimed]
    )


@asynccontextmanager
async def monitoring(ledger: Unreliable, log: Log) -> AsyncIterator[Monitor]:
    monitor = Monitor(ledger, log.write)
    task = asyncio.create_task(monitor.run())
    yield monitor
    task.cancel()


@in_virtual_time
async def test_a_death_is_reported_within_a_second_with_all_that_is_promised() -> None:
    ledger, log = Unreliable(clock), Log()
    async with monitoring(ledger, log):
        await asyncio.sleep(3.3)
        await died(ledger, "t", payload='{"n":123456789012345678901234567890,"x":1.50}')
        await asyncio.sleep(1)
    [line] = log.lines
    assert line.endswith(b"}\n")
    assert b'"payload":{"n":123456789012345678901234567890,"x":1.50}' in line
    seen = json.loads(line)
    del seen["payload"]
    assert seen == {
        "at": "2023-11-14T22:13:23.300000Z",
        "level": "error",
        "event": "task.dead_lettered",
        "taskId": "t",
        "type": "default",
        "error": {"type": "Boom", "message": "it broke"},
        "attemptCount": 1,
        "submittedAt": "2023-11-14T22:13:23.300000Z",
    }


@in_virtual_time
async def test_each_death_is_reported_exactly_once_without_crashes() -> None:
    ledger, log = Unreliable(clock), Log()
    names = [f"t{n}" for n in range(350)]
    async with monitoring(ledger, log), monitoring(ledger, log):
        await died(ledger, *names)
        await asyncio.sleep(120)
    assert sorted(line["taskId"] for line in log.seen()) == sorted(names)


@in_virtual_time
async def test_what_could_not_be_written_is_not_recorded_and_comes_again() -> None:
    ledger, log = Unreliable(clock), Log()
    log.failures = 2
    async with monitoring(ledger, log):
        await died(ledger, "a", "b", "c")
        await asyncio.sleep(2)
        assert [line["taskId"] for line in log.seen()] == ["c"]
        await asyncio.sleep(32)
    assert sorted(line["taskId"] for line in log.seen()) == ["a", "b", "c"]


@in_virtual_time
async def test_a_report_that_could_not_be_recorded_is_not_written_again() -> None:
    ledger, log = Unreliable(clock), Log()
    ledger.failures["reported"] = ["before"] * 100
    async with monitoring(ledger, log):
        await died(ledger, "t")
        await asyncio.sleep(120)
    assert len(log.lines) == 1
    assert await ledger.claim_reports(10, SECOND) == []


@in_virtual_time
async def test_after_a_crash_between_writing_and_recording_another_monitor_reports_again() -> None:
    ledger, log = Unreliable(clock), Log()
    ledger.failures["reported"] = ["before"] * 1000
    async with monitoring(ledger, log):
        await died(ledger, "t")
        await asyncio.sleep(1)
    ledger.failures.clear()
    async with monitoring(ledger, log):
        await asyncio.sleep(31)
    assert [line["taskId"] for line in log.seen()] == ["t", "t"]
    assert await ledger.claim_reports(10, SECOND) == []


class Slow(Unreliable):
    """Answers a while after its step is done."""

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        reports = await super().claim_reports(limit, lease)
        await asyncio.sleep(0.001)
        return reports


@pytest.mark.parametrize("stopped", range(8))
@in_virtual_time
async def test_deaths_that_a_stop_falls_upon_are_reported_before_the_end(stopped: int) -> None:
    ledger, log = Slow(clock), Log()
    await died(ledger, "a", "b", "c")
    async with monitoring(ledger, log) as monitor:
        await asyncio.sleep(stopped / 1000)
    await died(ledger, "last")
    await monitor.report()
    assert sorted(line["taskId"] for line in log.seen()) == ["a", "b", "c", "last"]
