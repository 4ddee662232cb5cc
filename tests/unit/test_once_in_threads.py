"""`task.once` in sync handlers: in threads, so in real time, with short times."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from tests.unit.stage import why
from tests.unit.test_worker_threads import stage
from unlost.effects import Recorded
from unlost.handlers import AttemptOver, Retry, StepNotKept, Task
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import NewStep
from unlost.task import Outcome, State
from unlost.worker.running.runner import SYNC_PATIENCE


async def test_a_step_is_made_once_and_its_value_needs_no_await() -> None:
    done, seen = list[int](), list[Any]()

    def charge(amount: int) -> tuple[int, str]:
        done.append(amount)
        return amount, "EUR"

    def handler(task: Task) -> Any:
        seen.append((task.once("charge", charge, 5), task.idempotency_key("charge")))
        if task.attempt == 1:
            raise Retry
        return seen[-1][0]

    async with stage(handler, max_retries=1, backoff_base=0.01) as play:
        await play.submit("t")
        record = await play.ended("t")
        assert [step.name for step in await play.ledger.steps_of("t")] == ["charge"]
    assert (record.state, record.result) == (State.SUCCEEDED, '[5,"EUR"]')
    assert (done, seen[0], seen[0][0]) == ([5], seen[1], [5, "EUR"])


async def test_an_async_function_is_a_type_error_and_nothing_is_recorded() -> None:
    async def charge() -> int:
        return 1

    def handler(task: Task) -> None:
        for function in (charge, lambda: charge()):  # noqa: PLW0108  the second is no async function
            with pytest.raises(TypeError, match="async"):
                task.once("charge", function)
        assert task.once("charge", lambda: 2) == 2
        with pytest.raises(ValueError, match="charge"):
            task.once("charge", lambda: 2)
        with pytest.raises(StepNotKept):
            task.once("large", lambda: "x" * 70_000)

    async with stage(handler) as play:
        await play.submit("t")
        record = await play.ended("t")
    assert record.state is State.SUCCEEDED, why(record)


async def test_two_threads_of_a_handler_do_not_make_one_step() -> None:
    done, told = list[int](), list[str]()

    def handler(task: Task) -> None:
        def other() -> None:
            try:
                task.once("charge", lambda: done.append(2))
            except ValueError:
                told.append("refused")

        def charge() -> int:
            done.append(1)
            thread = threading.Thread(target=other)
            thread.start()
            thread.join(5)
            return 1

        task.once("charge", charge)

    async with stage(handler) as play:
        await play.submit("t")
        record = await play.ended("t")
    assert (record.state, done, told) == (State.SUCCEEDED, [1], ["refused"])


async def test_a_thread_that_outlives_its_attempt_makes_no_step() -> None:
    done, told = list[int](), list[str]()
    over = threading.Event()

    def handler(task: Task) -> None:
        def outlive() -> None:
            over.wait(5)
            try:
                task.once("charge", lambda: done.append(1))
            except AttemptOver:
                told.append("over")

        threads.append(threading.Thread(target=outlive))
        threads[-1].start()

    threads: list[threading.Thread] = []
    async with stage(handler) as play:
        await play.submit("t")
        await play.ended("t")
        over.set()
        await asyncio.to_thread(threads[0].join)
    assert (done, told) == ([], ["over"])


async def test_a_cancelled_attempt_makes_no_step() -> None:
    done, told = list[int](), list[str]()

    def handler(task: Task) -> None:
        while not task.cancelled:
            time.sleep(0.005)
        try:
            task.once("charge", lambda: done.append(1))
        except AttemptOver:
            told.append("over")
            raise

    async with stage(handler) as play:
        await play.submit("t", timeout=0.1)
        record = await play.ended("t")
    assert (record.attempts[0].outcome, done, told) == (Outcome.TIMED_OUT, [], ["over"])


async def test_a_record_outlasts_the_timeout_and_the_patience_of_threads() -> None:
    def handler(task: Task) -> Any:
        return task.once("charge", lambda: task.attempt)

    async with stage(handler, max_retries=9, backoff_base=0.01) as play:
        record_step, late = play.ledger.record_step, list[tuple[str, float]]()

        async def first_late(new: NewStep) -> Recorded:
            late[:] = late or [(new.token, time.monotonic() + 0.5 + SYNC_PATIENCE + 0.5)]
            token, until = late[0]
            if new.token == token and time.monotonic() < until:
                raise LedgerUnavailable("record_step")
            return await record_step(new)

        play.ledger.record_step = first_late  # type: ignore[method-assign]
        await play.submit("t", timeout=0.5)
        record = await play.ended("t")
        assert not play.worker_task.done()
    assert record.attempts[0].outcome is Outcome.TIMED_OUT
    assert (record.state, record.result) == (State.SUCCEEDED, "1")  # the first attempt's value


async def test_once_from_the_event_loop_of_a_sync_handlers_worker_is_refused() -> None:
    loop, told = asyncio.get_running_loop(), list[str]()

    def handler(task: Task) -> None:
        async def within() -> None:
            with pytest.raises(RuntimeError):
                task.once("charge", lambda: 1)
            told.append("refused")

        asyncio.run_coroutine_threadsafe(within(), loop).result(5)

    async with stage(handler) as play:
        await play.submit("t")
        assert (await play.ended("t")).state is State.SUCCEEDED
    assert told == ["refused"]
