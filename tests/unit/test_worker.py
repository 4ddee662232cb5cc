"""What a worker does, in virtual time: exact moments, and every way an attempt can end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from tests.unit.stage import Unreliable, failing, finished, lose, stage, submission, why
from tests.unit.virtual import EPOCH, clock, in_virtual_time
from unlost.chance import fraction
from unlost.handlers import Handlers, Reject, Retry, Task
from unlost.policy import Backoff
from unlost.task import SECOND, Outcome, State
from unlost.worker.ending import Ending


@in_virtual_time
async def test_a_handler_is_given_its_task_and_its_result_is_kept() -> None:
    seen: list[Any] = []

    async def handler(task: Task) -> Any:
        seen.append((task.id, task.type, task.payload, task.attempt, task.max_retries))
        return {"sum": task.payload["a"] + 1}

    async with stage(handler) as play:
        await play.submit("t", payload='{"a":1}', type="add", max_retries=4)
        record = await play.ended("t")
    assert seen == [("t", "add", {"a": 1}, 1, 4)]
    assert (record.state, record.result) == (State.SUCCEEDED, '{"sum":2}')


@in_virtual_time
async def test_a_task_that_is_submitted_while_the_worker_sleeps_starts_at_once() -> None:
    async with stage(failing) as play:
        await asyncio.sleep(0.7)
        await play.submit("t", max_retries=0)
        record = await play.ended("t")
    assert record.submitted_at == EPOCH + 700_000
    assert record.attempts[0].started_at == record.submitted_at


@in_virtual_time
async def test_each_retry_starts_the_moment_it_is_due_and_the_waits_are_the_promised_ones() -> None:
    async with stage(failing, max_retries=4, backoff_base=2.0, backoff_cap=9.0) as play:
        await play.submit("t")
        record = await play.ended("t")
    attempts = record.attempts
    assert record.state is State.DEAD
    assert [one.outcome for one in attempts] == [Outcome.FAILED] * 5
    for retry, (last, this) in enumerate(pairwise(attempts), start=1):
        draw = fraction(7, "wait", "t", retry)
        due = finished(last) + round(Backoff(2.0, 9.0).wait(retry, draw) * SECOND)
        assert last.next_attempt_at == due
        assert abs(this.started_at - due) <= 1
    assert attempts[-1].next_attempt_at is None


@in_virtual_time
async def test_a_delayed_task_starts_the_moment_it_is_due() -> None:
    async with stage(failing, max_retries=0) as play:
        await play.submit("t", delay=3_456_789)
        record = await play.ended("t")
    assert record.attempts[0].started_at == EPOCH + 3_456_789


@in_virtual_time
async def test_retry_asks_for_a_longer_wait_than_the_backoff_and_is_no_end_to_the_retries() -> None:
    async def handler(task: Task) -> None:
        raise Retry(after=60, reason="later")

    async with stage(handler, max_retries=1) as play:
        await play.submit("t")
        record = await play.ended("t")
    first, second = record.attempts
    assert second.started_at - finished(first) == 60 * SECOND
    assert record.state is State.DEAD
    assert (why(record).type, why(record).message) == ("Retry", "later")


@in_virtual_time
async def test_reject_is_dead_at_once() -> None:
    async def handler(task: Task) -> None:
        raise Reject("no such customer")

    async with stage(handler, max_retries=5) as play:
        await play.submit("t")
        record = await play.ended("t")
    assert (record.state, record.attempt_count) == (State.DEAD, 1)
    assert (why(record).type, why(record).message) == ("Reject", "no such customer")


@in_virtual_time
async def test_an_attempt_is_timed_out_at_its_deadline() -> None:
    async def handler(task: Task) -> None:
        await asyncio.Event().wait()

    async with stage(handler, max_retries=0) as play:
        await play.submit("long", timeout=30.0)
        await play.submit("short", timeout=0.25)
        long, short = await play.ended("long"), await play.ended("short")
    for record, timeout in ((long, 30.0), (short, 0.25)):
        [attempt] = record.attempts
        assert attempt.outcome is Outcome.TIMED_OUT
        assert (finished(attempt) - attempt.started_at) / SECOND == pytest.approx(timeout, abs=1e-3)
        assert why(record).type == "AttemptTimedOut"
        assert why(record).traceback is None


@in_virtual_time
async def test_what_a_handler_returns_after_its_timeout_does_not_count() -> None:
    async def handler(task: Task) -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return "too late"
        return "never"

    async with stage(handler, max_retries=0) as play:
        await play.submit("t", timeout=1.0)
        record = await play.ended("t")
    assert (record.state, record.result) == (State.DEAD, None)
    assert record.attempts[0].outcome is Outcome.TIMED_OUT


@in_virtual_time
async def test_a_handler_that_ignores_cancellation_ends_the_worker_after_its_neighbours() -> None:
    async def handler(task: Task) -> None:
        if task.id == "deaf":
            while not over.is_set():
                with suppress(asyncio.CancelledError):
                    await over.wait()
        await asyncio.sleep(14)

    over = asyncio.Event()

    async with stage(handler) as play:
        await play.submit("deaf", timeout=1.0)
        await play.submit("neighbour")
        await asyncio.sleep(7)
        await play.submit("later")
        ending = await play.worker_task
        neighbour, later = await play.record("neighbour"), await play.record("later")
        deaf = await play.record("deaf")
        now = asyncio.get_running_loop().time()
        over.set()
    assert ending is Ending.STUCK
    assert neighbour.state is State.SUCCEEDED
    assert later.state is State.QUEUED
    assert deaf.state is State.RUNNING  # it is: whoever sees the process end settles it
    assert now == pytest.approx(14.0)


@in_virtual_time
async def test_a_cancelled_task_reaches_its_handler_within_five_seconds() -> None:
    told: list[float] = []

    async def handler(task: Task) -> str:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            told.append(asyncio.get_running_loop().time())
            assert task.cancelled
            raise
        return "never"

    async with stage(handler) as play:
        await play.submit("t")
        await play.running("t")
        await asyncio.sleep(0.5)
        await play.ledger.cancel("t", None, None)
        at = asyncio.get_running_loop().time()
        await asyncio.sleep(10)
        record = await play.record("t")
        calls = play.ledger.calls.count("settle")
    assert len(told) == 1
    assert told[0] - at <= 5.0
    assert record.state is State.CANCELLED
    assert record.attempts[0].outcome is Outcome.CANCELLED
    assert calls == 0


@in_virtual_time
async def test_no_more_attempts_than_slots_run_at_once_and_all_slots_are_used() -> None:
    now, most = 0, 0

    async def handler(task: Task) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(1 + int(task.id) % 7)
        now -= 1

    async with stage(handler, concurrency=3) as play:
        await play.submit(*map(str, range(30)))
        for number in range(30):
            await play.ended(str(number))
    assert most == 3


@in_virtual_time
async def test_attempts_that_end_together_are_settled_together() -> None:
    async def handler(task: Task) -> None:
        await asyncio.sleep(1)

    async with stage(handler, concurrency=50) as play:
        await play.submit(*map(str, range(50)))
        await play.ended("49")
        await play.ended("0")
    assert play.ledger.calls.count("settle") == 1


@in_virtual_time
async def test_only_types_that_have_a_handler_are_claimed_with_the_handlers_limits() -> None:
    handlers = Handlers()
    handlers.task("known", max_retries=9, timeout=77)(failing)
    async with stage(handlers) as play:
        await play.submit("a", type="known")
        await play.submit("b", type="unknown")
        await play.submit("c", type="known", max_retries=1, timeout=5.0)
        known = await play.when("a", lambda record: record.attempts != ())
        given = await play.when("c", lambda record: record.attempts != ())
        await asyncio.sleep(5)
        unknown = await play.record("b")
    assert (known.max_retries, known.timeout) == (9, 77)
    assert (given.max_retries, given.timeout) == (1, 5)
    assert unknown.state is State.QUEUED


@in_virtual_time
async def test_draining_lets_attempts_finish_within_the_grace_period() -> None:
    async def handler(task: Task) -> str:
        await asyncio.sleep(8)
        return "done"

    async with stage(handler, grace=10) as play:
        await play.submit("t")
        await play.running("t")
        ending = await play.drained()
        await play.submit("late")
        await asyncio.sleep(3)
        record, late = await play.record("t"), await play.record("late")
    assert ending is Ending.DRAINED
    assert (record.state, record.result) == (State.SUCCEEDED, '"done"')
    assert late.state is State.QUEUED


@in_virtual_time
async def test_what_does_not_finish_within_the_grace_period_is_released_and_costs_nothing() -> None:
    async def handler(task: Task) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            raise RuntimeError("interrupted") from None

    async with stage(handler, grace=10, max_retries=0) as play:
        await play.submit("t")
        await play.running("t")
        began = asyncio.get_running_loop().time()
        await play.drained()
        took = asyncio.get_running_loop().time() - began
        record = await play.record("t")
    assert 8 <= took <= 10
    assert (record.state, record.attempt_count) == (State.QUEUED, 0)
    assert record.attempts[0].outcome is Outcome.RELEASED


@in_virtual_time
async def test_a_settlement_is_kept_until_the_ledger_takes_it() -> None:
    async def handler(task: Task) -> str:
        play.ledger.failures["settle"] = ["before"] * 5 + ["after"]
        return "kept"

    async with stage(handler) as play:
        await play.submit("t")
        record = await play.ended("t")
        await play.worker._settler.all_settled()
        calls = play.ledger.calls.count("settle")
    assert (record.state, record.result) == (State.SUCCEEDED, '"kept"')
    assert len(record.attempts) == 1
    assert calls == 7


@in_virtual_time
async def test_attempts_of_a_claim_whose_answer_was_lost_are_released_and_run_again() -> None:
    ran: list[int] = []

    async def handler(task: Task) -> None:
        ran.append(task.attempt)

    async with stage(handler) as play:
        await asyncio.sleep(0.1)
        play.ledger.failures["claim"] = ["after", "before"]
        await play.submit("t")
        record = await play.ended("t")
    assert ran == [1]
    assert [one.outcome for one in record.attempts] == [Outcome.RELEASED, Outcome.SUCCEEDED]
    assert record.attempt_count == 1


@in_virtual_time
async def test_a_worker_that_was_struck_off_stops_its_handlers_and_ends() -> None:
    cancelled: list[str] = []

    async def handler(task: Task) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.append(task.id)
            raise

    async with stage(handler, lease=15) as play:
        await play.submit("t")
        await play.running("t")
        await play.ledger.dismiss("w1")
        ending = await play.worker_task
        settled = play.ledger.calls.count("settle")
        now = asyncio.get_running_loop().time()
    assert ending is Ending.LEASE_OVER
    assert cancelled == ["t"]
    assert settled == 0
    assert now <= 2


@in_virtual_time
async def test_a_worker_whose_lease_is_over_goes_on_as_long_as_nobody_has_struck_it_off() -> None:
    async def handler(task: Task) -> None:
        await asyncio.sleep(40 if task.id == "long" else 1)

    async with stage(handler, lease=15) as play:
        await play.submit("long")
        await asyncio.sleep(35)
        await play.submit("next")
        next_ = await play.ended("next")
        long = await play.ended("long")
        [enlisted] = await play.ledger.workers()
    assert (next_.state, long.state) == (State.SUCCEEDED, State.SUCCEEDED)
    assert (next_.attempt_count, long.attempt_count) == (1, 1)
    assert enlisted.worker.id == "w1"


@in_virtual_time
async def test_a_late_settlement_of_a_reaped_attempt_changes_nothing() -> None:
    async def handler(task: Task) -> str:
        await asyncio.sleep(1)
        return "late"

    async with stage(handler) as play:
        await play.submit("t")
        await play.running("t")
        await play.ledger.cancel("t", None, None)
        await asyncio.sleep(1.5)
        record = await play.record("t")
    assert (record.state, record.result) == (State.CANCELLED, None)


@in_virtual_time
async def test_a_lone_worker_runs_one_lost_task_after_the_other_and_ends_when_none_is_due() -> None:
    now, most = 0, 0

    async def handler(task: Task) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(1)
        now -= 1

    ledger = Unreliable(clock)
    await lose(ledger, "a", "b")
    await ledger.submit([submission("ordinary")])
    async with stage(handler, ledger=ledger, alone=True) as play:
        ending = await play.worker_task
        states = [(await play.record(name)).state for name in ("a", "b", "ordinary")]
    assert ending is Ending.NOTHING_DUE
    assert most == 1
    assert states == [State.SUCCEEDED, State.SUCCEEDED, State.QUEUED]


@in_virtual_time
async def test_a_worker_passes_by_hints_of_types_that_it_does_not_serve() -> None:
    handlers = Handlers()
    handlers.task("mine")(failing)
    async with stage(handlers, max_retries=0) as play:
        await asyncio.sleep(0.25)
        play.ledger.calls.clear()
        for turn in range(50):
            await play.submit(f"t{turn}", type="another")
            await asyncio.sleep(0.01)
        assert play.ledger.calls == []
        await play.submit("t", type="mine")
        record = await play.ended("t")
    assert record.attempts[0].started_at == record.submitted_at


@in_virtual_time
async def test_a_worker_looks_each_second_however_many_hints_of_other_types_come() -> None:
    handlers = Handlers()
    handlers.task("mine")(failing)
    async with stage(handlers, max_retries=0) as play:
        await asyncio.sleep(0.25)
        play.ledger.calls.clear()
        for turn in range(500):
            await play.submit(f"t{turn}", type="another")
            await asyncio.sleep(0.01)
        assert play.ledger.calls == ["claim"] * 5
