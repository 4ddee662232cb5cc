"""What a worker's stop makes fail costs nothing: in virtual time, to the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from subprocess import CalledProcessError

import pytest

from tests.unit.stage import Unreliable, finished, stage
from tests.unit.virtual import EPOCH, clock, in_virtual_time
from unlost.handlers import Reject, Retry, Task
from unlost.ledger.protocol import LedgerGone
from unlost.ledger.values import Part
from unlost.task import SECOND, Outcome, Record, State

KILLED = CalledProcessError(-15, ["convert"])


class Failing:
    """A handler that fails so long after its start."""

    def __init__(self, error: BaseException, seconds: float = 1.0) -> None:
        self.error = error
        self.seconds = seconds

    async def __call__(self, task: Task) -> None:
        await asyncio.sleep(self.seconds)
        raise self.error


def outcomes(record: Record) -> list[Outcome | None]:
    return [one.outcome for one in record.attempts]


async def after_a_stop_at(moment: float, error: BaseException, ledger: Unreliable) -> Record:
    """The task, whose handler fails a second after its start, once a worker was told to stop so
    many seconds after that start."""
    async with stage(Failing(error), ledger=ledger, grace=20.0) as play:
        await play.running("t")
        await asyncio.sleep(moment)
        await play.drained()
        return await play.record("t")


async def ledger_with_task(max_retries: int = 0) -> Unreliable:
    ledger = Unreliable(clock)
    async with stage(Failing(KILLED), ledger=ledger) as play:
        await play.drained()
        await play.submit("t", max_retries=max_retries)
    return ledger


@in_virtual_time
async def test_what_fails_after_its_worker_was_told_to_stop_is_released() -> None:
    record = await after_a_stop_at(0.5, ValueError("no connection"), await ledger_with_task())
    assert outcomes(record) == [Outcome.RELEASED]
    assert (record.state, record.attempt_count, record.error) == (State.QUEUED, 0, None)


@in_virtual_time
async def test_a_program_that_a_signal_ended_up_to_half_a_second_before_the_stop_is_released() -> (
    None
):
    record = await after_a_stop_at(1.45, KILLED, await ledger_with_task())
    assert outcomes(record) == [Outcome.RELEASED]
    assert (record.state, record.attempt_count) == (State.QUEUED, 0)


@pytest.mark.parametrize(
    ("error", "stop", "settled"),
    [(KILLED, 1.55, 1.5), (ValueError("no connection"), 1.01, 1.0)],
    ids=["half a second before the stop", "nothing that a signal did"],
)
def test_what_the_stop_did_not_cause_has_failed(
    error: BaseException, stop: float, settled: float
) -> None:
    @in_virtual_time
    async def play() -> None:
        record = await after_a_stop_at(stop, error, await ledger_with_task())
        assert (record.state, outcomes(record)) == (State.DEAD, [Outcome.FAILED])
        [attempt] = record.attempts
        assert (finished(attempt) - attempt.started_at) / SECOND == pytest.approx(settled, abs=1e-3)

    play()


@in_virtual_time
async def test_reject_is_meant_whatever_stops() -> None:
    record = await after_a_stop_at(0.5, Reject("no such customer"), await ledger_with_task(5))
    assert (record.state, outcomes(record)) == (State.DEAD, [Outcome.FAILED])


@in_virtual_time
async def test_a_result_that_cannot_be_kept_is_no_failure_of_the_stop() -> None:
    async def handler(task: Task) -> object:
        await asyncio.sleep(1.0)
        return object()

    async with stage(handler, grace=20.0) as play:
        await play.submit("t", max_retries=5)
        await play.running("t")
        await play.drained()
        record = await play.record("t")
    assert (record.state, outcomes(record)) == (State.DEAD, [Outcome.FAILED])


@in_virtual_time
async def test_a_timeout_while_its_worker_stops_is_one() -> None:
    async with stage(Failing(KILLED, 9.0), max_retries=0, grace=20.0) as play:
        await play.submit("t", timeout=2.0)
        await play.running("t")
        await play.drained()
        record = await play.record("t")
    assert (record.state, outcomes(record)) == (State.DEAD, [Outcome.TIMED_OUT])


@in_virtual_time
async def test_what_was_cancelled_stays_so_though_a_stop_follows() -> None:
    async with stage(Failing(KILLED, 1.0)) as play:
        await play.submit("t", max_retries=0)
        await play.running("t")
        await asyncio.sleep(1.2)
        await play.ledger.cancel("t", None, None)
        await play.drained()
        record = await play.record("t")
    assert (record.state, outcomes(record)) == (State.CANCELLED, [Outcome.CANCELLED])


@in_virtual_time
async def test_a_handler_that_fails_at_each_stop_is_released_once_in_a_row() -> None:
    ledger = await ledger_with_task(max_retries=2)
    for _ in range(4):
        await after_a_stop_at(0.5, ValueError("I am told to stop"), ledger)
    record = await after_a_stop_at(0.5, ValueError("I am told to stop"), ledger)
    assert outcomes(record) == [
        Outcome.RELEASED,
        Outcome.FAILED,
        Outcome.RELEASED,
        Outcome.FAILED,
        Outcome.RELEASED,
    ]
    assert (record.state, record.attempt_count) == (State.QUEUED, 2)


@in_virtual_time
async def test_a_handler_that_asked_for_a_wait_gets_it_though_it_is_released() -> None:
    ledger = await ledger_with_task()
    record = await after_a_stop_at(0.5, Retry(after=60), ledger)
    [attempt] = record.attempts
    assert (attempt.outcome, record.attempt_count) == (Outcome.RELEASED, 0)
    assert record.due_at == finished(attempt) + 60 * SECOND


class Absent(Unreliable):
    """A ledger that does not answer three reads once it is told to."""

    absent = 0

    async def get(self, task_id: str, parts: Collection[Part] = tuple(Part)) -> Record | None:
        if self.absent:
            self.absent -= 1
            self.failures["get"] = ["before"]
        self._fault("get")
        return await super().get(task_id, parts)


@in_virtual_time
async def test_a_ledger_that_does_not_answer_is_asked_again() -> None:
    ledger = Absent(clock)
    async with stage(Failing(KILLED), ledger=ledger, grace=20.0) as play:
        await play.submit("t", max_retries=0)
        await play.running("t")
        ledger.absent = 3
        await play.drained()
        record = await play.record("t")
    assert ledger.absent == 0
    assert outcomes(record) == [Outcome.RELEASED]


class Gone(Unreliable):
    """A ledger whose file is gone, once it is told to be."""

    gone = False

    async def get(self, task_id: str, parts: Collection[Part] = tuple(Part)) -> Record | None:
        if self.gone:
            raise LedgerGone
        return await super().get(task_id, parts)


@in_virtual_time
async def test_a_ledger_that_is_gone_holds_up_no_stop() -> None:
    ledger = Gone(clock)
    async with stage(Failing(KILLED), ledger=ledger, grace=20.0) as play:
        await play.submit("t", max_retries=0)
        await play.running("t")
        ledger.gone = True
        async with asyncio.timeout(2.0):
            await play.drained()


@in_virtual_time
async def test_what_is_held_back_keeps_its_slot_and_is_not_taken_for_unknown() -> None:
    async with stage(Failing(KILLED), concurrency=1, backoff_base=60.0, max_retries=1) as play:
        play.ledger.failures["claim"] = ["", "after"]
        await play.submit("first", "second")
        await asyncio.sleep(4.0)
        first, second = await play.record("first"), await play.record("second")
    assert outcomes(first) == [Outcome.FAILED]
    assert finished(first.attempts[0]) == pytest.approx(EPOCH + 1.5 * SECOND, abs=2000)
    assert second.attempts[0].started_at >= finished(first.attempts[0])
