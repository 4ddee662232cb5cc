"""What a step of `task.once` did is recorded, though the ledger is away or the time is over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any

import pytest

from tests.unit.shop import Away, Shop, made, run
from tests.unit.stage import stage
from tests.unit.virtual import clock, in_virtual_time
from unlost.handlers import Task
from unlost.task import Outcome, State


@in_virtual_time
async def test_a_record_whose_answer_was_lost_is_brought_again() -> None:
    ledger, shop = Away(clock), Shop(1)
    ledger.failures["record_step"] = ["after"]

    async def handler(task: Task) -> Any:
        return await task.once("charge", shop.charge)

    record = await run(handler, ledger=ledger)
    assert (record.result, record.attempt_count, len(shop.done)) == ("1", 1, 1)
    assert ledger.records == 2


@in_virtual_time
async def test_a_record_waits_for_a_ledger_that_is_away() -> None:
    ledger, shop = Away(clock), Shop(1, seconds=1.0)
    ledger.back = 20.0

    async def handler(task: Task) -> Any:
        return await task.once("charge", shop.charge)

    async with stage(handler, ledger=ledger) as play:
        ledger.back = 0.0
        await play.submit("t", timeout=30.0)
        await play.running("t")
        ledger.back = 20.0
        record = await play.ended("t")
    assert (record.result, record.attempt_count, len(shop.done)) == ("1", 1, 1)


@in_virtual_time
async def test_a_record_outlasts_the_timeout() -> None:
    ledger, shop = Away(clock), Shop(1, seconds=1.9)

    async def handler(task: Task) -> Any:
        return await task.once("charge", shop.charge)

    async with stage(handler, ledger=ledger) as play:
        await play.submit("t", timeout=2.0)
        await play.running("t")
        await asyncio.sleep(1.0)
        ledger.back = 5.0
        record = await play.when("t", lambda record: record.state is State.RETRYING)
        assert await made(play) == [("charge", 1, "1")]
        assert 5.0 <= asyncio.get_running_loop().time() <= 7.0
        record = await play.ended("t")
    assert [one.outcome for one in record.attempts] == [Outcome.TIMED_OUT, Outcome.SUCCEEDED]
    assert len(shop.done) == 1


@in_virtual_time
async def test_a_record_outlasts_the_timeout_by_five_seconds_and_no_more() -> None:
    ledger, shop = Away(clock), Shop(1, seconds=1.9)

    async def handler(task: Task) -> Any:
        return await task.once("charge", shop.charge)

    async with stage(handler, ledger=ledger) as play:
        await play.submit("t", timeout=2.0)
        await play.running("t")
        await asyncio.sleep(1.0)
        ledger.back = 8.0
        await play.when("t", lambda record: record.state is State.RETRYING)
        assert 7.0 <= asyncio.get_running_loop().time() <= 7.1
        assert await made(play) == []
        ledger.back = 0.0
        assert (await play.ended("t")).state is State.SUCCEEDED
        assert not play.worker_task.done()  # nothing is stuck
    assert len(shop.done) == 2


@in_virtual_time
async def test_a_record_outlasts_the_grace_period() -> None:
    ledger, shop = Away(clock), Shop(1, seconds=1.0)

    async def handler(task: Task) -> Any:
        return await task.once("charge", shop.charge)

    async with stage(handler, ledger=ledger, grace=2.0) as play:
        await play.submit("t")
        await play.running("t")
        await asyncio.sleep(0.9)
        ledger.back = 4.0
        await play.drained()
        assert await made(play) == [("charge", 1, "1")]
        record = await play.record("t")
    assert [one.outcome for one in record.attempts] == [Outcome.RELEASED]


@in_virtual_time
async def test_a_handlers_own_time_limit_leaves_what_was_done_recorded() -> None:
    ledger, shop = Away(clock), Shop(1, seconds=1.0)

    async def handler(task: Task) -> Any:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                charging = asyncio.ensure_future(task.once("charge", shop.charge))
                await asyncio.sleep(0.5)
                ledger.back = asyncio.get_running_loop().time() + 2.0
                await charging
        return await task.once("charge", shop.charge)

    record = await run(handler, ledger=ledger)
    assert (record.result, record.attempt_count, len(shop.done)) == ("1", 1, 1)


def stopped(ledger: Away, seconds: float, charging: Awaitable[Any]) -> Awaitable[Any]:
    """A charge of one second that a handler stops after two, with the ledger away meanwhile."""

    async def within() -> Any:
        async with asyncio.timeout(2.0):
            making = asyncio.ensure_future(charging)
            await asyncio.sleep(0.5)
            ledger.back = asyncio.get_running_loop().time() + seconds
            return await making

    return within()


@in_virtual_time
async def test_a_handlers_own_time_limit_ends_no_record_however_long_the_ledger_is_away() -> None:
    ledger, shop, told = Away(clock), Shop(1, seconds=1.0), list[str]()

    async def beside(task: Task) -> None:
        await asyncio.sleep(12.0)
        with pytest.raises(ValueError, match="charge"):
            await task.once("charge", shop.charge)
        told.append("under way")

    async def handler(task: Task) -> Any:
        other = asyncio.create_task(beside(task))
        with pytest.raises(TimeoutError):
            await stopped(ledger, 20.0, task.once("charge", shop.charge))
        await other
        value = await task.once("charge", shop.charge)
        with pytest.raises(ValueError, match="charge"):
            await task.once("charge", shop.charge)
        told.append("recorded")
        return value

    async with stage(handler, ledger=ledger) as play:
        await play.submit("t", timeout=60.0, max_retries=0)
        record = await play.ended("t")
        assert await made(play) == [("charge", 1, "1")]
    assert (record.result, record.attempt_count, len(shop.done)) == ("1", 1, 1)
    assert told == ["under way", "recorded"]


@in_virtual_time
async def test_a_record_that_its_handler_does_not_wait_for_has_five_seconds_from_the_timeout() -> (
    None
):
    ledger, shop = Away(clock), Shop(1, seconds=1.0)

    async def handler(task: Task) -> Any:
        return await stopped(ledger, 60.0, task.once("charge", shop.charge))

    async with stage(handler, ledger=ledger) as play:
        await play.submit("t", timeout=10.0, max_retries=0)
        record = await play.ended("t")
        assert 15.0 <= asyncio.get_running_loop().time() <= 15.1
        assert not play.worker_task.done()  # nothing is stuck
    assert [one.outcome for one in record.attempts] == [Outcome.TIMED_OUT]
