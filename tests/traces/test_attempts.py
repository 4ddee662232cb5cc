"""What attempts and settlements tell, in virtual time."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.traces.told import PARENT, SPAN, TRACE, Told, failed, linked, parent, said, where
from tests.unit.stage import Unreliable, stage, submission
from tests.unit.virtual import clock, in_virtual_time
from unlost import Reject, Task, carried
from unlost.carried import Carried
from unlost.ledger.values import Claim, Worker
from unlost.policy import Limits
from unlost.settings import Settings
from unlost.task import SECOND
from unlost.upkeep.sweeper import Sweeper

ALONE = carried.write(Carried(traceparent=PARENT))
BATCH = carried.write(Carried(traceparent=PARENT, batch=True))
OUTCOME = "unlost.attempt.outcome"


@in_virtual_time
async def test_each_retry_is_a_span_of_its_own_linked_to_the_same_submit() -> None:
    told = Told()

    async def fail(task: Task) -> None:
        raise ValueError("the secret is 4711")

    async with stage(fail, tracing=told.tracing) as play:
        await play.submit("a", max_retries=2, carried=ALONE, payload='{"secret": "4711"}')
        await play.ended("a")
    attempts = told.all("process")
    assert [said(span, "unlost.attempt.number") for span in attempts] == [1, 2, 3]
    assert {where(span).trace_id for span in attempts} == {TRACE}
    assert all(linked(span) == [SPAN] and parent(span) == SPAN for span in attempts)
    assert all(failed(span) and said(span, "error.type") == "ValueError" for span in attempts)
    assert [said(span, "unlost.task.event") for span in told.all("settle")] == [
        "retry", "retry", "die",
    ]  # fmt: skip
    assert 0.5 <= said(told.all("settle")[0], "unlost.retry_in_seconds") <= 1
    assert "4711" not in told.everything()


@in_virtual_time
async def test_attempts_of_a_batchs_tasks_begin_traces_linked_to_the_submit() -> None:
    told = Told()

    async def work(task: Task) -> None:
        pass

    async with stage(work, tracing=told.tracing) as play:
        await play.submit("a", "b", carried=BATCH)
        await play.ended("a")
        await play.ended("b")
    one, other = told.all("process")
    assert one.parent is None
    assert other.parent is None
    assert len({TRACE, where(one).trace_id, where(other).trace_id}) == 3
    assert linked(one) == linked(other) == [SPAN]
    for span, settle in zip((one, other), told.all("settle"), strict=True):
        assert where(settle).trace_id == where(span).trace_id


@pytest.mark.parametrize("text", [None, "nonsense", "{}", '{"traceparent": 5}',
                                  '{"traceparent": "00-0-0-01"}'])  # fmt: skip
@in_virtual_time
async def test_a_task_that_carries_no_place_in_a_trace_has_a_trace_all_the_same(
    text: str | None,
) -> None:
    told = Told()

    async def work(task: Task) -> None:
        pass

    async with stage(work, tracing=told.tracing) as play:
        await play.submit("a", carried=text)
        await play.ended("a")
    process = told.one("process")
    assert process.parent is None
    assert linked(process) == []


@in_virtual_time
async def test_what_the_caller_does_not_sample_is_not_told_of() -> None:
    told = Told()

    async def work(task: Task) -> None:
        with told.tracer.start_as_current_span("inside"):
            pass

    async with stage(work, tracing=told.tracing) as play:
        await play.submit("a", carried=carried.write(Carried(traceparent=PARENT[:-2] + "00")))
        await play.ended("a")
    assert told.everything() == ""


@in_virtual_time
async def test_an_attempt_says_how_long_its_task_was_due_before_it_started() -> None:
    told = Told()

    async def work(task: Task) -> None:
        await asyncio.sleep(5)

    async with stage(work, tracing=told.tracing, concurrency=1) as play:
        await play.submit("first", delay=10 * SECOND)
        await play.submit("second", delay=12 * SECOND)
        await play.ended("second")
    waits = [said(span, "unlost.wait_seconds") for span in told.all("process")]
    assert waits == pytest.approx([0, 3], abs=0.1)


@in_virtual_time
async def test_timeouts_rejections_and_releases_are_told_apart() -> None:
    told = Told()

    async def handle(task: Task) -> None:
        if task.id == "rejected":
            raise Reject("the secret is 4711")
        await asyncio.Event().wait()

    async with stage(handle, tracing=told.tracing, grace=1) as play:
        await play.submit("rejected")
        await play.submit("slow", timeout=2, max_retries=0)
        await play.ended("slow")
        await play.submit("released")
        await play.running("released")
        await play.drained()
    spans = {said(span, "messaging.message.id"): span for span in told.all("process")}
    assert {name: said(span, OUTCOME) for name, span in spans.items()} == {
        "rejected": "failed", "slow": "timed_out", "released": "released",
    }  # fmt: skip
    assert said(spans["rejected"], "error.type") == "Reject"
    assert said(spans["slow"], "error.type") == "AttemptTimedOut"
    assert not failed(spans["released"])
    assert "4711" not in told.everything()


@in_virtual_time
async def test_an_attempt_that_was_cancelled_meanwhile_is_dropped_or_its_settlement_refused() -> (
    None
):
    told = Told()

    async def handle(task: Task) -> None:
        await play.ledger.cancel(task.id, None, None)
        if task.id == "dropped":
            await asyncio.Event().wait()

    async with stage(handle, tracing=told.tracing) as play:
        await play.submit("dropped", "refused")
        await play.ended("dropped")
        await play.ended("refused")
        await asyncio.sleep(10)
    outcomes = {said(span, "messaging.message.id"): said(span, OUTCOME)
                for span in told.all("process")}  # fmt: skip
    assert outcomes == {"dropped": "dropped", "refused": "succeeded"}
    assert said(told.one("settle"), "unlost.settlement.refused") is True


@in_virtual_time
async def test_a_settlement_lasts_as_long_as_the_ledger_does_not_answer() -> None:
    told = Told()

    async def work(task: Task) -> None:
        pass

    ledger = Unreliable(clock)
    ledger.failures["settle"] = ["before", "after"]
    async with stage(work, ledger=ledger, tracing=told.tracing) as play:
        await play.submit("a")
        await play.ended("a")
    assert len(told.all("process")) == len(told.all("settle")) == 1


@in_virtual_time
async def test_of_an_attempt_that_was_lost_its_settlement_tells() -> None:
    told, ledger = Told(), Unreliable(clock)
    await ledger.submit([submission("t", type="mail", carried=ALONE)])
    await ledger.enlist(Worker("silent"), SECOND)
    assert await ledger.claim(Claim("silent", ["token"], None, Limits(2, 3600.0)))
    sweeper = Sweeper(
        ledger,
        Settings(seed=1),
        clock=clock,
        monotonic=asyncio.get_running_loop().time,
        random=Random(1),
        tracing=told.tracing,
    )
    await asyncio.sleep(2)
    await sweeper.reap()
    settle = told.one("settle")
    assert settle.name == "settle mail"
    assert (parent(settle), linked(settle)) == (SPAN, [SPAN])
    assert failed(settle)
    assert said(settle, "error.type") == "WorkerLost"
    assert said(settle, OUTCOME) == "lost"
    assert said(settle, "unlost.settlement.reaped_from") == "silent"
    assert said(settle, "messaging.message.id") == "t"
    assert told.all("process") == []


@in_virtual_time
async def test_a_redriven_task_goes_on_in_its_submits_trace() -> None:
    told = Told()

    async def handle(task: Task) -> None:
        if not task.redrive_count:
            raise Reject("no")

    async with stage(handle, tracing=told.tracing) as play:
        await play.submit("a", carried=ALONE)
        await play.ended("a")
        await play.ledger.redrive("a", None, None)
        await play.ended("a")
    assert [said(span, "unlost.redrive_count") for span in told.all("process")] == [0, 1]
    assert all(linked(span) == [SPAN] for span in told.all("process"))


@in_virtual_time
async def test_what_follows_from_an_attempt_goes_on_in_its_trace() -> None:
    told = Told()

    async def work(task: Task) -> None:
        if task.id == "a":
            task.submit({}, "next")

    async with stage(work, tracing=told.tracing) as play:
        await play.submit("a", carried=BATCH)
        await play.ended("a")
        await play.ended("next")
    first, second = told.all("process")
    assert where(second).trace_id == where(first).trace_id
    assert parent(second) == where(first).span_id
