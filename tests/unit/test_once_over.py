"""`task.once` makes no step of an attempt that is over."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.shop import Shop, made, run
from tests.unit.stage import stage
from tests.unit.virtual import in_virtual_time
from unlost.handlers import AttemptOver, Task
from unlost.task import Outcome, State


@in_virtual_time
async def test_an_attempt_that_was_taken_for_lost_makes_no_step() -> None:
    shop, told = Shop(1), []

    async def handler(task: Task) -> None:
        await asyncio.sleep(1.0)
        try:
            await task.once("charge", shop.charge)
        except Exception:
            told.append("an Exception")
            raise
        except AttemptOver:
            told.append("over")
            raise

    async with stage(handler) as play:
        await play.submit("t")
        await play.running("t")
        await play.ledger.cancel("t", None, None)
        await asyncio.sleep(1.5)
        record = await play.record("t")
    assert (told, shop.done, record.state) == (["over"], [], State.CANCELLED)


@in_virtual_time
async def test_what_is_done_while_the_attempt_is_lost_is_not_recorded() -> None:
    shop, told = Shop(1, seconds=1.0), []

    async def handler(task: Task) -> None:
        try:
            await task.once("charge", shop.charge)
        except AttemptOver:
            told.append("over")
            raise

    async with stage(handler) as play:
        await play.submit("t")
        await play.running("t")
        await asyncio.sleep(0.5)
        await play.ledger.cancel("t", None, None)
        await asyncio.sleep(1.0)
        assert await made(play) == []
    assert (told, len(shop.done)) == (["over"], 1)


@in_virtual_time
async def test_after_the_attempts_end_no_step_is_made() -> None:
    shop, left, told = Shop(1), list[Task](), []

    async def handler(task: Task) -> None:
        left.append(task)

        async def outlive() -> None:
            await asyncio.sleep(1.0)
            try:
                await task.once("charge", shop.charge)
            except AttemptOver:
                told.append("over")

        left.append(asyncio.create_task(outlive()))  # type: ignore[arg-type]

    await run(handler)
    await asyncio.sleep(2.0)
    with pytest.raises(AttemptOver):
        await left[0].once("charge", shop.charge)
    assert (told, shop.done) == (["over"], [])


@in_virtual_time
async def test_after_a_cancellation_no_step_is_begun() -> None:
    shop, told = Shop(1), []

    async def handler(task: Task) -> None:
        try:
            await asyncio.sleep(10.0)
        finally:
            try:
                await task.once("undo", shop.charge)
            except AttemptOver:
                told.append("over")

    async with stage(handler) as play:
        await play.submit("t", timeout=1.0, max_retries=0)
        record = await play.ended("t")
    assert (record.attempts[0].outcome, told) == (Outcome.TIMED_OUT, ["over"])
    assert shop.done == []


@in_virtual_time
async def test_a_task_that_nobody_runs_makes_no_step() -> None:
    task = Task(
        id="t", type="default", payload="{}", attempt=1, max_retries=2, redrive_count=0,
        submitted_at=0, deadline=0, number=1,
    )  # fmt: skip
    with pytest.raises(RuntimeError):
        task.once("a", print)
    with pytest.raises(RuntimeError):
        task.idempotency_key("a")


@in_virtual_time
async def test_what_asks_for_its_first_step_once_its_attempt_is_over_makes_none() -> None:
    kept: list[Task] = []

    async def handler(task: Task) -> None:
        kept.append(task)

    async with stage(handler) as play:
        await play.submit("t")
        await play.ended("t")
        with pytest.raises(AttemptOver):
            await kept[0].once("late", lambda: 1)
        assert await play.ledger.steps_of("t") == []
        assert len(kept[0].idempotency_key("late")) == 40


@in_virtual_time
async def test_what_asks_for_its_first_step_after_its_timeout_makes_none() -> None:
    refused: list[type[BaseException]] = []

    async def handler(task: Task) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            try:
                await task.once("late", lambda: 1)
            except AttemptOver as error:
                refused.append(type(error))

    async with stage(handler) as play:
        await play.submit("t", timeout=1.0, max_retries=0)
        await play.ended("t")
        assert await play.ledger.steps_of("t") == []
    assert refused == [AttemptOver]
