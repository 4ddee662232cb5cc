"""The function that runs attempts: what becomes of tasks, and of the messages that lead to them."""

from __future__ import annotations

import threading

import pytest

from tests.aws.context import Context
from tests.aws.place import Place, fail, hints, outcomes, succeed
from unlost.handlers import Handlers, Reject, Retry, Task
from unlost.ledger.values import Query
from unlost.task import State


async def test_a_task_succeeds_and_its_message_has_served(place: Place) -> None:
    await place.submit("t")
    records = place.queues.receive(place.queues.work)

    again = await place.process(succeed).batch(records, Context().left)

    task = await place.task("t")
    assert again == []
    assert (task.state, task.result, outcomes(task)) == (State.SUCCEEDED, '"t"', ["succeeded"])


async def test_a_sync_handler_runs_too(place: Place) -> None:
    def work(task: Task) -> int:
        assert threading.current_thread() is not threading.main_thread()
        return task.attempt

    await place.submit("t")

    assert await place.process(work).batch(hints("t"), Context().left) == []

    assert (await place.task("t")).result == "1"


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_recorded_step_is_not_made_again(place: Place, kind: str) -> None:
    charged: list[str] = []

    def charge(key: str) -> dict[str, str]:
        charged.append(key)
        return {"key": key}

    async def work(task: Task) -> object:
        made = await task.once("charge", charge, task.idempotency_key("charge"))
        return fails_first(task, made)

    def work_sync(task: Task) -> object:
        return fails_first(task, task.once("charge", charge, task.idempotency_key("charge")))

    def fails_first(task: Task, made: object) -> object:
        if task.attempt == 1:
            raise ValueError("no")
        return made

    await place.submit("t")
    process = place.process(work if kind == "async" else work_sync)
    for _ in range(2):
        assert await process.batch(hints("t"), Context().left) == []
        place.clock.advance(3)

    task = await place.task("t")
    assert outcomes(task) == ["failed", "succeeded"]
    [key] = charged
    assert task.result == f'{{"key":"{key}"}}'
    assert [(one.name, one.attempt) for one in await place.ledger.steps_of("t")] == [("charge", 1)]


async def test_a_step_of_an_attempt_that_another_has_overtaken_is_not_made(place: Place) -> None:
    made: list[str] = []

    async def work(task: Task) -> None:
        await place.ledger.cancel("t", None, None)
        await task.once("charge", made.append, "charge")

    await place.submit("t")
    assert await place.process(work).batch(hints("t"), Context().left) == []

    assert (await place.task("t")).state is State.CANCELLED
    assert made == []


async def test_a_retry_is_a_new_message_held_back_for_its_backoff(place: Place) -> None:
    await place.submit("t")
    place.queues.taken(place.queues.work)

    assert await place.process(fail, backoff_base=1.0).batch(hints("t"), Context().left) == []

    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.RETRYING, ["failed"])
    assert task.due_at is not None
    assert 0.5e6 <= task.due_at - place.clock.now <= 1e6
    assert place.queues.taken(place.queues.work) == []
    depths = await place.queue.depths()
    assert (depths.work, depths.dead_letters) == (1, 0)


async def test_a_task_that_always_fails_dies_after_its_attempts_and_the_queue_is_told(
    place: Place,
) -> None:
    await place.submit("t", payload='{"a":1.0}')
    process = place.process(fail)

    for _ in range(5):
        assert await process.batch(hints("t"), Context().left) == []
        place.clock.advance(3)

    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.DEAD, ["failed"] * 3)
    [death] = place.queues.taken(place.queues.dead)
    assert death["taskId"] == "t"
    assert death["payload"] == {"a": 1.0}
    assert death["error"] == {"type": "ValueError", "message": "no"}


async def test_what_a_handler_asks_for_holds(place: Place) -> None:
    handlers = Handlers()

    @handlers.task("later", max_retries=9, timeout=20)
    async def later(task: Task) -> None:
        assert task.max_retries == 9
        raise Retry(after=500)

    @handlers.task("never")
    def never(task: Task) -> None:
        raise Reject("bad")

    await place.submit("a", type="later")
    await place.submit("b", type="never")

    assert await place.process(handlers).batch(hints("a", "b"), Context().left) == []

    a, b = await place.task("a"), await place.task("b")
    assert a.due_at is not None
    assert (a.state, a.due_at - place.clock.now) == (State.RETRYING, 500_000_000)
    assert (b.state, b.error and b.error.type) == (State.DEAD, "Reject")


async def test_what_a_handler_submits_follows_from_its_success_and_is_announced(
    place: Place,
) -> None:
    async def work(task: Task) -> None:
        task.submit({"text": "x" * 5_000}, "next")
        task.submit({"n": 2}, "later", delay_seconds=60)
        for wrong in ({"task_id": "a?b"}, {"timeout_seconds": 886}, {"callback_url": "https://a/"}):
            with pytest.raises(ValueError, match=r"\?|timeout_seconds|callback_url"):
                task.submit({}, **wrong)
        if task.attempt == 1:
            raise ValueError("no")

    await place.submit("t")
    place.queues.taken(place.queues.work)
    process = place.process(work)
    assert await process.batch(hints("t"), Context().left) == []
    assert await place.ledger.get("next") is None
    place.clock.advance(3)
    assert await process.batch(hints("t"), Context().left) == []

    assert await place.states("t", "next", "later") == [
        State.SUCCEEDED, State.QUEUED, State.QUEUED,
    ]  # fmt: skip
    page = await place.ledger.page(Query(parent="t"))
    assert [one.task_id for one in page.records] == ["later", "next"]
    assert place.queues.taken(place.queues.work) == [{"taskId": "next"}]


async def test_a_conflict_of_what_a_handler_submits_is_a_death(place: Place) -> None:
    async def work(task: Task) -> None:
        task.submit({"n": 1}, "next")

    await place.submit("next", payload='{"n":2}')
    await place.submit("t")
    assert await place.process(work).batch(hints("t"), Context().left) == []

    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.DEAD, ["failed"])
    [death] = place.queues.taken(place.queues.dead)
    assert death["error"]["type"] == "FollowUpConflict"


async def test_an_excused_failure_spends_no_retry_as_often_as_it_may(place: Place) -> None:
    async def work(task: Task) -> None:
        raise Retry(excused=True)

    await place.submit("t")
    process = place.process(work, max_retries=0, max_excused=1, backoff_base=0.0)

    assert await process.batch(hints("t"), Context().left) == []
    waiting = await place.task("t")
    assert await process.batch(hints("t"), Context().left) == []

    dead = await place.task("t")
    assert (waiting.state, dead.state) == (State.RETRYING, State.DEAD)
    assert [attempt.excused for attempt in dead.attempts] == [True, False]
    assert dead.attempt_count == 2
