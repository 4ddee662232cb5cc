"""A worker whose ledger does not settle for a while, or only little at once: in virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from tests.unit.stage import Stage, Unreliable, stage
from tests.unit.virtual import clock, in_virtual_time
from unlost.batches import BATCH, BatchSize
from unlost.handlers import Task
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Settled, Settlement
from unlost.task import Outcome, State
from unlost.telemetry.measuring import Recorder

CONCURRENCY = 64
MOST = CONCURRENCY + BATCH
TASKS = 2_000


class Stony(Unreliable):
    """A ledger that never settles the task `stone`."""

    stone = ""
    most_running = 0

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        running = (await self.counts()).states.get(State.RUNNING, 0)
        self.most_running = max(self.most_running, running)
        if self.stone in [one.task_id for one in settlements]:
            self.failures["settle"] = ["before"]
        return await super().settle(settlements)


class Hanging(Stony):
    """One that answers a settlement only while `open` is set."""

    def __init__(self) -> None:
        super().__init__(clock)
        self.open = asyncio.Event()

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        try:
            async with asyncio.timeout(20.0):
                await self.open.wait()
        except TimeoutError:
            raise LedgerUnavailable("hangs") from None
        return await super().settle(settlements)


async def nothing(task: Task) -> None:
    """Do nothing, and succeed."""


async def most_running(play: Stage, seconds: float) -> int:
    """How many attempts ran at most for the ledger, in so many seconds."""
    most, until = 0, asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        most = max(most, (await play.ledger.counts()).states.get(State.RUNNING, 0))
        await asyncio.sleep(0.1)
    return most


async def succeeded(play: Stage) -> int:
    return (await play.ledger.counts()).states.get(State.SUCCEEDED, 0)


def numbered(count: int) -> list[str]:
    return [f"t{number}" for number in range(count)]


@in_virtual_time
async def test_while_settlements_fail_no_more_run_than_the_slots_and_a_batch() -> None:
    async with stage(nothing, ledger=Stony(clock), concurrency=CONCURRENCY) as play:
        play.ledger.failures["settle"] = ["before"] * 1_000
        await play.submit(*numbered(TASKS))
        assert BATCH <= await most_running(play, 60) <= MOST
        play.ledger.failures["settle"] = []
        await asyncio.sleep(5)  # the longest pause is 2 s
        assert await succeeded(play) == TASKS
        assert isinstance(play.ledger, Stony)
        assert play.ledger.most_running <= MOST


@in_virtual_time
async def test_while_settlements_hang_no_more_run_than_the_slots_and_a_batch() -> None:
    async with stage(nothing, ledger=(ledger := Hanging()), concurrency=CONCURRENCY) as play:
        await play.submit(*numbered(TASKS))
        assert await most_running(play, 50) <= MOST
        ledger.open.set()
        await asyncio.sleep(3)
        assert await succeeded(play) == TASKS


@in_virtual_time
async def test_a_batch_that_fails_is_halved_and_grows_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = Stony(clock)
    async with stage(nothing, ledger=ledger, concurrency=400) as play:
        ledger.failures["settle"] = ["before"] * 6
        await play.submit(*numbered(400))
        await asyncio.sleep(30)
        assert await succeeded(play) == 400
    sizes = ledger.sizes["settle"]
    assert sizes == [400, 200, 100, 50, 25, 12, 6, 12, 24, 48, 96, 192, 22]
    told = [one for one in caplog.records if one.getMessage() == "ledger.unavailable"]
    assert [(one.__dict__["settlements"], one.__dict__["next"]) for one in told] == [(400, 200)]


@in_virtual_time
async def test_one_settlement_that_always_fails_holds_up_no_other() -> None:
    ledger = Stony(clock)
    ledger.stone = "t0"
    async with stage(nothing, ledger=ledger, concurrency=32) as play:
        await play.submit(*numbered(300))
        await asyncio.sleep(120)
        assert await succeeded(play) == 299
        ledger.stone = ""


@in_virtual_time
async def test_the_oldest_are_settled_first() -> None:
    ledger = Stony(clock)
    async with stage(nothing, ledger=ledger, concurrency=16) as play:
        ledger.failures["settle"] = ["before"] * 3
        async with ledger.transitions() as changes:
            await play.submit(*numbered(100))
            order: list[str] = []
            while len(order) < 100:
                order += [one.task_id for one in await anext(changes) if one.state == "succeeded"]
    assert order == numbered(100)


@in_virtual_time
async def test_a_stop_while_settlements_fail_settles_what_has_ended() -> None:
    ledger = Stony(clock)
    async with stage(nothing, ledger=ledger, concurrency=CONCURRENCY, grace=25) as play:
        ledger.failures["settle"] = ["before"] * 1_000
        await play.submit(*numbered(TASKS))
        await asyncio.sleep(10)
        running = (await ledger.counts()).states[State.RUNNING]
        asyncio.get_running_loop().call_later(15, ledger.failures["settle"].clear)
        await play.drained()
        counts = (await ledger.counts()).states
        first = await play.record("t0")
    assert counts.get(State.SUCCEEDED) == running
    assert [attempt.outcome for attempt in first.attempts] == [Outcome.SUCCEEDED]
    assert asyncio.get_running_loop().time() <= 10 + 15 + 3


@in_virtual_time
async def test_a_settlement_whose_answer_was_lost_is_counted_once_and_not_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    recorder = Recorder()
    async with stage(nothing, recorder=recorder, concurrency=5) as play:
        play.ledger.failures["settle"] = ["after"]
        await play.submit(*numbered(5))
        await play.worker._settler.all_settled()
        await asyncio.sleep(1)
    assert [one for one in caplog.records if one.getMessage() == "attempt.refused"] == []
    assert dict(recorder.take().types["default"].outcomes) == {Outcome.SUCCEEDED: 5}


@in_virtual_time
async def test_a_settlement_that_came_too_late_is_refused_also_after_a_call_that_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    recorder = Recorder()
    async with stage(nothing, recorder=recorder) as play:
        play.ledger.failures["settle"] = ["before"] * 3
        await play.submit("t")
        await play.running("t")
        await play.ledger.cancel("t", None, None)
        await asyncio.sleep(10)
    assert [one.getMessage() for one in caplog.records].count("attempt.refused") == 1
    assert recorder.take().types["default"].outcomes == {}


@in_virtual_time
async def test_a_claim_that_fails_is_halved_and_grows_again() -> None:
    async def handler(task: Task) -> None:
        await asyncio.sleep(0.01)

    async with stage(handler, concurrency=100) as play:
        await asyncio.sleep(0.1)
        play.ledger.failures["claim"] = ["before"] * 3
        play.ledger.sizes["claim"].clear()
        await play.submit(*numbered(400))
        await asyncio.sleep(5)
        assert await succeeded(play) == 400
    assert play.ledger.sizes["claim"][:5] == [100, 50, 25, 12, 24]


def test_a_batch_goes_down_to_one_and_back() -> None:
    size = BatchSize.of(10)
    seen = [size.now]
    for _ in range(5):
        size = size.failed(size.now)
        seen.append(size.now)
    assert (seen, size.whole) == ([10, 5, 2, 1, 1, 1], False)
    for _ in range(5):
        size = size.succeeded()
        seen.append(size.now)
    assert (seen[6:], size.whole) == ([2, 4, 8, 10, 10], True)
    assert BatchSize.of(500).failed(6).now == 3
