"""What a worker by the API does of its own: calls twice, refusals, what runs alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.pulling.stage import InProcess, stage
from tests.unit.stage import Unreliable, lose
from tests.unit.virtual import VirtualLoop, clock, in_virtual_time
from unlost import Reject, Retry, Task, carried
from unlost.carried import Carried, Scheduled
from unlost.client.core.wire import Reply, Request
from unlost.handlers import HandlerNotLoaded, Handlers
from unlost.handlers.named import named
from unlost.pulling.board import Board
from unlost.task import Outcome, State
from unlost.worker.ending import Ending


@in_virtual_time
async def test_a_claim_whose_answer_was_lost_comes_again_and_gives_the_same_attempt() -> None:
    async def handler(task: Task) -> int:
        return task.attempt

    async with stage(handler) as play:
        play.edge.faults["/attempts/claim"] = ["before", "after", "after"]
        await play.submit("t")
        record = await play.ended("t")
    assert [one.outcome for one in record.attempts] == [Outcome.SUCCEEDED]
    claims = [json.loads(body)["claim"] for path, body in play.edge.calls if "claim" in path]
    assert claims[0] == claims[1] == claims[2]
    assert len(set(claims)) > 1


@in_virtual_time
async def test_a_handler_is_told_the_time_for_which_a_schedule_made_its_task() -> None:
    async def handler(task: Task) -> str:
        return str(task.scheduled_for)

    made = carried.write(Carried(schedule=Scheduled("nightly", 1_792_888_200_250_000)))
    async with stage(handler) as play:
        await play.submit("by schedule", carried=made)
        await play.submit("by hand")
        told = [(await play.ended(name)).result for name in ("by schedule", "by hand")]
    assert told == ['"2026-10-25 00:30:00.250000+00:00"', '"None"']


@pytest.mark.parametrize("fault", ["before", "after"])
@in_virtual_time
async def test_ends_are_told_until_there_is_an_answer(fault: str) -> None:
    async def handler(task: Task) -> str:
        if task.payload.get("what") == "retry":
            raise Retry(after=60)
        if task.payload.get("what") == "reject":
            raise Reject("no")
        return "done"

    async with stage(handler, max_retries=0) as play:
        play.edge.faults["/attempts/settle"] = [fault] * 3
        await play.submit("done")
        await play.submit("reject", payload='{"what":"reject"}')
        await play.submit("retry", payload='{"what":"retry"}')
        records = [await play.ended(name) for name in ("done", "reject", "retry")]
    assert [record.state for record in records] == [State.SUCCEEDED, State.DEAD, State.DEAD]
    assert [len(record.attempts) for record in records] == [1, 1, 1]
    assert [record.error and record.error.type for record in records] == [None, "Reject", "Retry"]


@in_virtual_time
async def test_what_the_last_claim_gives_is_released() -> None:
    async def handler(task: Task) -> None:
        """Never called."""

    async with stage(handler) as play:
        await asyncio.sleep(0.1)  # a claim waits
        play.worker.drain()
        await play.submit("t")
        assert await play.worker_task is Ending.DRAINED
        record = await play.record("t")
    assert {one.outcome for one in record.attempts} <= {Outcome.RELEASED}
    assert (record.state, record.attempt_count) == (State.QUEUED, 0)


@in_virtual_time
async def test_what_the_last_claim_gives_is_released_though_the_process_was_paused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handler(task: Task) -> None:
        """Never called."""

    loop, ask = asyncio.get_running_loop(), InProcess.ask
    assert isinstance(loop, VirtualLoop)

    async def paused(edge: InProcess, step: Request, within: float | None = None) -> Reply:
        answer = await ask(edge, step, within)
        if await play.ledger.get("t"):
            loop.jump(60)
            await asyncio.sleep(0.001)
        return answer

    monkeypatch.setattr(InProcess, "ask", paused)
    async with stage(handler) as play:
        await asyncio.sleep(0.1)  # a claim waits
        play.worker.drain()
        await play.submit("t")
        assert await play.worker_task is Ending.DRAINED
        record = await play.record("t")
    assert {one.outcome for one in record.attempts} == {Outcome.RELEASED}
    assert (record.state, record.attempt_count) == (State.QUEUED, 0)


@in_virtual_time
async def test_what_the_last_claim_gives_does_not_wait_for_the_handlers_that_end() -> None:
    async def handler(task: Task) -> None:
        await asyncio.sleep(30)

    async with stage(handler, grace=60.0) as play:
        await play.submit("t")
        await play.running("t")
        play.worker.drain()
        await play.submit("late")
        await asyncio.sleep(0.1)
        late = await play.record("late")
        assert await play.worker_task is Ending.DRAINED
        record = await play.record("t")
    assert [one.outcome for one in late.attempts] == [Outcome.RELEASED]
    assert late.state is State.QUEUED
    assert record.state is State.SUCCEEDED


@in_virtual_time
async def test_a_success_whose_follow_up_the_service_refuses_is_a_death_that_says_so() -> None:
    async def handler(task: Task) -> None:
        task.submit({}, callback_url="https://example.com/")  # webhooks are off there

    async with stage(handler) as play:
        await play.submit("t")
        record = await play.ended("t")
    assert record.state is State.DEAD
    assert record.error is not None
    assert record.error.type == "SettlementRefused"
    assert "callbackUrl" in record.error.message


@in_virtual_time
async def test_an_end_that_the_service_cannot_read_holds_up_no_other() -> None:
    async def handler(task: Task) -> str:
        await asyncio.sleep(1)  # they end together
        return f"it is {task.id}"

    async with stage(handler) as play:
        play.edge.unreadable = b"it is bad"
        names = [f"t{number}" for number in range(7)]
        for name in names:
            await play.submit(name)
        await play.submit("bad")
        records = [await play.ended(name) for name in names]
        bad = await play.ended("bad")
    assert {record.state for record in records} == {State.SUCCEEDED}
    assert (bad.state, bad.error and bad.error.type) == (State.DEAD, "SettlementRefused")


@in_virtual_time
async def test_a_lone_puller_runs_what_was_lost_and_ends() -> None:
    seen: list[str] = []

    async def handler(task: Task) -> None:
        seen.append(task.id)

    ledger = Unreliable(clock)
    await lose(ledger, "a", "b")
    async with stage(handler, ledger=ledger, alone=True) as play:
        ending = await play.worker_task
        assert play.board.empty
    assert sorted(seen) == ["a", "b"]
    assert ending is Ending.NOTHING_DUE


@in_virtual_time
async def test_what_has_ended_is_told_so_before_anything_runs_alone() -> None:
    order = []

    async def handler(task: Task) -> None:
        order.append(f"{task.id} starts")
        try:
            if task.id == "cancelled":
                await asyncio.Event().wait()
        finally:
            order.append(f"{task.id} ends")

    ledger = Unreliable(clock)
    async with stage(handler, ledger=ledger) as play:
        await play.submit("cancelled")
        await play.running("cancelled")
        await lose(ledger, "alone")
        await ledger.cancel("cancelled", None, None)
        await play.ended("alone")
    assert order == ["cancelled starts", "cancelled ends", "alone starts", "alone ends"]


def test_a_board_shows_what_was_put_and_not_taken_to_whoever_has_its_file() -> None:
    board = Board.of(2)
    board.put("a" * 2_000, 1.5)
    board.put("b", 2.5)
    board.put("beyond", 3.5)
    board.take("b")
    board.take("never there")
    board.put("c", 4.5)
    assert {(one.token, one.due) for one in board.entries()} == {("a" * 2_000, 1.5), ("c", 4.5)}
    board.take("a" * 2_000)
    board.take("c")
    assert board.empty
    board.close()
    board.close()


def test_a_function_serves_the_types_that_are_named_and_a_registry_some_of_its_own() -> None:
    def function(task: Task) -> None:
        """Never called."""

    handlers = Handlers()
    handlers.task("a", timeout=5)(function)
    handlers.task("b")(function)
    assert list(named(handlers, None).types or ()) == ["a", "b"]
    assert list(named(handlers, ("b",)).types or ()) == ["b"]
    assert list(named(Handlers.for_every_type(function), ("x", "y", "x")).types or ()) == [
        "x",
        "y",
    ]
    wrong: list[tuple[Handlers, Any]] = [
        (Handlers.for_every_type(function), None),
        (handlers, ("c",)),
        (Handlers(), None),
        (Handlers.for_every_type(function), [f"t{number}" for number in range(101)]),
    ]
    for given, types in wrong:
        with pytest.raises(HandlerNotLoaded):
            named(given, types)
