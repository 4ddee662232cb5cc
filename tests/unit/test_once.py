"""`task.once` in async handlers: in virtual time, to the moment."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from tests.unit.shop import Shop, made, run
from tests.unit.stage import stage, why
from tests.unit.virtual import in_virtual_time
from unlost.effects import MAX_RESULT, effect_key
from unlost.effects import idempotency_key as key_of
from unlost.handlers import Retry, StepNotKept, Task
from unlost.task import Outcome, State


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
