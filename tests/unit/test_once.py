"""`task.once` in async handlers: in virtual time, to the moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.unit.stage import Stage, Unreliable, stage, why
from tests.unit.virtual import clock, in_virtual_time
from unlost.effects import MAX_RESULT, Recorded, effect_key
from unlost.effects import idempotency_key as key_of
from unlost.handlers import AttemptOver, Retry, StepNotKept, Task
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import NewStep
from unlost.task import Outcome, Record, State


class Away(Unreliable):
    """A ledger that takes no record of a step before a moment of the loop's time."""

    back = 0.0
    looks = records = 0

    async def look_step(self, task_id: str, token: str, name: str) -> Any:
        self.looks += 1
        if asyncio.get_running_loop().time() < self.back:
            raise LedgerUnavailable("look_step")
        return await super().look_step(task_id, token, name)

    async def record_step(self, new: NewStep) -> Recorded:
        self.records += 1
        if self.failures.get("record_step", []) == ["after"]:
            self.failures["record_step"].pop()
            await super().record_step(new)
            raise LedgerUnavailable("record_step")
        if asyncio.get_running_loop().time() < self.back:
            raise LedgerUnavailable("record_step")
        return await super().record_step(new)


class Shop:
    """What is done to the outside: how often, and what comes of it."""

    def __init__(self, value: Any = None, fail: int = 0, seconds: float = 0.0) -> None:
        self.done: list[Any] = []
        self._value = value
        self._fail = fail
        self._seconds = seconds

    async def charge(self, *args: Any, **kwargs: Any) -> Any:
        self.done.append((*args, *kwargs.items()))
        await asyncio.sleep(self._seconds)
        if len(self.done) <= self._fail:
            raise ValueError("the card is busy")
        return self._value


async def run(handler: Callable[[Task], Awaitable[Any]], **options: Any) -> Record:
    """A task's end, of this handler."""
    async with stage(handler, **options) as play:
        await play.submit("t")
        return await play.ended("t")


async def made(play: Stage) -> list[tuple[str, int, str | None]]:
    steps = await play.ledger.steps_of("t", results=True)
    return [(step.name, step.attempt, step.result) for step in steps]


@in_virtual_time
async def test_a_step_is_made_once_however_often_its_task_is_tried() -> None:
    shop, seen = Shop({"id": 7}), []

    async def handler(task: Task) -> Any:
        seen.append(await task.once("charge", shop.charge, 5, currency="EUR"))
        if task.attempt < 3:
            raise Retry
        return seen[-1]["id"]

    async with stage(handler) as play:
        await play.submit("t")
        record = await play.ended("t")
        assert await made(play) == [("charge", 1, '{"id":7}')]
    assert (record.state, record.result, record.attempt_count) == (State.SUCCEEDED, "7", 3)
    assert shop.done == [(5, ("currency", "EUR"))]
    assert seen == [{"id": 7}] * 3


@in_virtual_time
async def test_the_value_comes_back_as_read_from_json_in_the_first_attempt_too() -> None:
    seen: list[Any] = []

    async def handler(task: Task) -> None:
        seen.append(await task.once("a", lambda: (1, 2.0, {"k": None})))
        seen.append(await task.once("b", lambda: None))
        seen[-2].append("its own to change")
        if task.attempt == 1:
            raise Retry

    await run(handler)
    assert seen == [[1, 2.0, {"k": None}, "its own to change"], None] * 2


@in_virtual_time
async def test_an_exception_is_not_recorded_and_the_name_may_be_tried_again() -> None:
    shop = Shop("paid", fail=1)

    async def handler(task: Task) -> Any:
        with contextlib.suppress(ValueError):
            await task.once("charge", shop.charge)
        return await task.once("charge", shop.charge)

    record = await run(handler)
    assert [one.outcome for one in record.attempts] == [Outcome.SUCCEEDED]
    assert (record.result, len(shop.done)) == ('"paid"', 2)


@in_virtual_time
async def test_a_name_is_an_error_while_it_runs_and_once_this_attempt_has_recorded_it() -> None:
    shop, told = Shop(1, seconds=1.0), []

    async def again(task: Task) -> None:
        with pytest.raises(ValueError, match=r"'a'") as error:
            await task.once("a", shop.charge)
        told.append(str(error.value))

    async def handler(task: Task) -> None:
        first = asyncio.create_task(task.once("a", shop.charge))
        await asyncio.sleep(0.5)
        await again(task)
        await first
        await again(task)

    record = await run(handler)
    assert (record.state, len(told), len(shop.done)) == (State.SUCCEEDED, 2, 1)


@in_virtual_time
async def test_steps_of_different_names_are_made_beside_and_within_each_other() -> None:
    async def handler(task: Task) -> Any:
        async def outer() -> Any:
            return [await task.once("inner", lambda: 1), 2]

        return await asyncio.gather(task.once("outer", outer), task.once("other", lambda: 3))

    assert (await run(handler)).result == "[[1,2],3]"


@in_virtual_time
async def test_names_and_functions_that_cannot_be_are_refused() -> None:
    async def handler(task: Task) -> None:
        for name in ("", "a b", "ä", "a" * 101, "a/b", "a\n", None, 7):
            with pytest.raises(ValueError, match="name"):
                await task.once(name, lambda: 1)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="name"):
                task.idempotency_key(name)  # type: ignore[arg-type]
        await task.once("A-z0.9_:" + "x" * 92, lambda: 1)
        with pytest.raises(TypeError):
            await task.once("a", "no function")  # type: ignore[arg-type]
        assert await task.once("a", lambda: 1) == 1

    assert (await run(handler)).state is State.SUCCEEDED


@in_virtual_time
@pytest.mark.parametrize(
    ("value", "because"),
    [
        ("x" * MAX_RESULT, "it has 65538 bytes, and 65536 is the most"),
        ({1, 2}, "it is no JSON: "),
        (object(), "it is no JSON: "),
        (float("nan"), "it is no JSON: "),
    ],
)
async def test_what_cannot_be_kept_is_told_now_and_later_and_not_done_again(
    value: Any, because: str
) -> None:
    shop, told = Shop(value), []

    async def handler(task: Task) -> None:
        try:
            await task.once("charge", shop.charge)
        except StepNotKept as error:
            told.append(error.name)
            raise

    record = await run(handler)
    assert (record.state, told, len(shop.done)) == (State.DEAD, ["charge"] * 3, 1)
    assert why(record).type == "StepNotKept"
    messages = [one.error.message for one in record.attempts if one.error is not None]
    assert f"what it returned is not kept: {because}" in messages[0]
    assert "attempt 1 found it to be no JSON, or too large" in messages[1]


class Broken(dict[str, Any]):
    """A value that cannot be read."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(a=1)
        self._error = error

    def items(self) -> Any:
        raise self._error


@in_virtual_time
@pytest.mark.parametrize(
    "error", [RuntimeError("dict changed size"), ZeroDivisionError(), SystemExit()]
)
async def test_what_cannot_even_be_read_is_not_done_again_and_why_is_logged(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(Broken(error))

    async def handler(task: Task) -> None:
        await task.once("charge", shop.charge)

    record = await run(handler)
    assert (why(record).type, record.attempt_count, len(shop.done)) == ("StepNotKept", 3, 1)
    [line] = [one for one in caplog.records if one.message == "step.unreadable"]
    assert (line.step, line.error) == ("charge", type(error).__name__)  # type: ignore[attr-defined]


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
async def test_a_key_is_the_same_in_every_attempt_until_its_name_is_forgotten() -> None:
    seen: list[str] = []

    async def handler(task: Task) -> None:
        seen.append(task.idempotency_key("charge"))
        await task.once("charge", lambda: 1)
        raise Retry

    async with stage(handler, max_retries=1) as play:
        await play.submit("t")
        record = await play.ended("t")
        await play.ledger.redrive("t", None, None)
        await play.when("t", lambda record: len(record.attempts) == 4 and record.due_at is None)
        await play.ended("t")
        await play.ledger.redrive("t", None, None, forget=True)
        await play.when("t", lambda record: len(record.attempts) == 6 and record.due_at is None)
        await play.ended("t")
    effect = effect_key(await play.ledger.effect_secret(), "t", record.submitted_at)
    assert seen == [key_of(effect, 0, "charge")] * 4 + [key_of(effect, 1, "charge")] * 2


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
