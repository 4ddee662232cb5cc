"""The function that runs attempts, and its time: what is left of it, timeouts, cancels, stops."""

from __future__ import annotations

import asyncio
import threading
from subprocess import CalledProcessError

import pytest

from tests.aws.context import Context
from tests.aws.place import Place, hints, outcomes, record, succeed
from unlost.aws import attempting
from unlost.aws.attempting import TO_END, TO_SETTLE, Stuck
from unlost.handlers import Function, Handlers, Reject, Task
from unlost.task import State


async def test_with_too_little_time_nothing_is_claimed_and_the_message_goes_back(
    place: Place,
) -> None:
    await place.submit("t")
    [message] = place.queues.receive(place.queues.work)
    process = place.process(succeed, attempt_timeout=60.0)

    again = await process.batch([message], Context(60 + TO_END - 0.5).left)

    assert again == [message["messageId"]]
    task = await place.task("t")
    assert (task.state, task.attempts) == (State.QUEUED, ())
    [back] = place.queues.receive(place.queues.work)
    assert await process.batch([back], Context(61 + TO_END).left) == []
    assert await place.states("t") == [State.SUCCEEDED]


async def test_each_task_needs_only_the_time_that_it_may_take_itself(place: Place) -> None:
    handlers = Handlers()
    handlers.task("quick", timeout=1)(succeed)
    handlers.task("slow", timeout=100)(succeed)
    await place.submit("slow", type="slow")
    await place.submit("quick", type="quick")
    await place.submit("own", type="quick", timeout=50)
    records = hints("slow", "quick", "own")

    again = await place.process(handlers).batch(records, Context(30).left)

    assert again == [records[0]["messageId"], records[2]["messageId"]]
    assert await place.states("slow", "quick", "own") == [
        State.QUEUED, State.SUCCEEDED, State.QUEUED,
    ]  # fmt: skip


async def test_a_claim_that_took_too_long_is_released_and_costs_nothing(place: Place) -> None:
    left = iter([100.0, 100.0, TO_SETTLE + 59.0, TO_SETTLE + 59.0])
    await place.submit("t")
    place.queues.taken(place.queues.work)

    await place.process(succeed).batch(hints("t"), lambda: next(left, 50.0))

    task = await place.task("t")
    assert (task.state, outcomes(task), task.attempt_count) == (State.QUEUED, ["released"], 0)
    assert place.queues.taken(place.queues.work) == [{"taskId": "t"}]


async def test_no_attempt_is_longer_than_the_function_allows(place: Place) -> None:
    async def hang(task: Task) -> None:
        await asyncio.Event().wait()

    await place.submit("t", timeout=800)

    assert await place.process(hang, longest=0.1).batch(hints("t"), Context(20).left) == []

    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.RETRYING, ["timed_out"])


async def test_an_attempt_is_cancelled_within_seconds_of_its_task(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempting, "LOOK_FOR_DROPPED", 0.05)
    running, told = asyncio.Event(), []

    async def work(task: Task) -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append(task.cancelled)
            raise

    await place.submit("t")
    batch = asyncio.create_task(place.process(work).batch(hints("t"), Context().left))
    await running.wait()

    await place.ledger.cancel("t", None, None)

    assert await batch == []
    assert told == [True]
    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.CANCELLED, ["cancelled"])


async def test_when_it_is_told_to_stop_it_releases_what_runs_and_claims_no_more(
    place: Place,
) -> None:
    running = asyncio.Event()

    async def work(task: Task) -> None:
        running.set()
        await asyncio.Event().wait()

    await place.submit("a", "b")
    process = place.process(work)
    records = hints("a", "b")
    batch = asyncio.create_task(process.batch(records, Context().left))
    await running.wait()

    process._attempting.stop()

    assert await batch == [records[1]["messageId"]]
    assert await place.states("a", "b") == [State.QUEUED, State.QUEUED]
    assert (await place.task("a")).attempt_count == 0


async def stopped(place: Place, work: Function) -> None:
    """Run the task `t`, whose handler is told to stop as soon as it runs."""
    running = asyncio.Event()

    async def handler(task: Task) -> object:
        running.set()
        await asyncio.sleep(0.05)
        return await work(task)

    process = place.process(handler, backoff_base=0.0)
    batch = asyncio.create_task(process.batch(hints("t"), Context().left))
    await running.wait()
    process._attempting.stop()
    await batch


async def test_what_fails_at_a_stop_is_released_once_in_a_row(place: Place) -> None:
    async def work(task: Task) -> None:
        raise ConnectionError("stopped")

    await place.submit("t", max_retries=1)
    for _ in range(4):
        await stopped(place, work)
    task = await place.task("t")
    assert outcomes(task) == ["released", "failed", "released", "failed"]
    assert (task.state, task.attempt_count) == (State.DEAD, 2)


async def test_what_ends_by_itself_at_a_stop_has_ended_so(place: Place) -> None:
    async def reject(task: Task) -> None:
        raise Reject("no such customer")

    await place.submit("t", max_retries=5)
    await stopped(place, reject)
    assert await place.states("t") == [State.DEAD]
    await place.ledger.redrive("t", None, None, None)
    await stopped(place, succeed)
    assert await place.states("t") == [State.SUCCEEDED]


async def test_a_program_that_a_signal_ended_just_before_the_stop_costs_nothing(
    place: Place,
) -> None:
    ended = asyncio.Event()

    async def work(task: Task) -> None:
        ended.set()
        raise CalledProcessError(-15, ["convert"])

    await place.submit("t", max_retries=0)
    process = place.process(work)
    batch = asyncio.create_task(process.batch(hints("t"), Context().left))
    await ended.wait()
    await asyncio.sleep(0.05)
    process._attempting.stop()
    await batch
    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.QUEUED, ["released"])


async def test_a_handler_that_does_not_end_is_timed_out_and_passes_its_neighbours_on(
    place: Place,
) -> None:
    ends = threading.Event()

    def work(task: Task) -> None:
        if task.id == "stuck":
            ends.wait()

    await place.submit("first", "stuck", "last")
    place.queues.taken(place.queues.work)
    process = place.process(work, longest=0.2)
    records = [*hints("first", "stuck", "last"), record("poison")]

    with pytest.raises(Stuck):
        await process.batch(records, Context().left)
    ends.set()

    stuck = await place.task("stuck")
    assert (stuck.state, outcomes(stuck)) == (State.RETRYING, ["timed_out"])
    assert stuck.due_at is not None
    assert stuck.due_at - place.clock.now >= attempting.STUCK_WAIT * 1e6  # its process has ended
    assert await place.states("first", "last") == [State.SUCCEEDED, State.QUEUED]
    assert place.queues.taken(place.queues.work) == [{"taskId": "last"}]
