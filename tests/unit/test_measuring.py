"""A process counts what it does, and publishes it: all of it, and nothing twice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import accumulate, count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stage import Unreliable, failing, stage
from tests.unit.virtual import clock, in_virtual_time
from unlost import Reject, Task
from unlost.ledger.measured import SILENT
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Settlement
from unlost.task import SECOND, Event, Outcome
from unlost.telemetry.measures import BOUNDS, MOST_TYPES, OTHER, Measures, OfType
from unlost.telemetry.measuring import (
    INTERVAL,
    SORTED_AT_ONCE,
    STILL_HERE,
    Durations,
    Publisher,
    Recorder,
    publishing,
)

DONE = Settlement("t", "token", Outcome.SUCCEEDED, Event.SUCCEED)


class Doubtful(Unreliable):
    """Also loses publications, or their answers."""

    async def open_measures(self, process: str) -> None:
        fault = self._fault("open")
        await super().open_measures(process)
        if fault:
            raise LedgerUnavailable("open")

    async def publish_measures(self, process: str, measures: Measures) -> bool:
        fault = self._fault("publish")
        answer = await super().publish_measures(process, measures)
        if fault:
            raise LedgerUnavailable("publish")
        return answer

    async def close_measures(self, process: str, measures: Measures) -> None:
        self._fault("close")
        await super().close_measures(process, measures)


def publisher(ledger: Doubtful, recorder: Recorder) -> Publisher:
    numbers = count(1)
    timer = asyncio.get_running_loop().time
    return Publisher(ledger, recorder, lambda: f"p{next(numbers)}", timer)


async def attempts(ledger: Doubtful, name: str = "mail") -> int:
    return (await ledger.sum_measures()).types.get(name, OfType()).outcomes.get("succeeded", 0)


@in_virtual_time
async def test_a_worker_counts_waits_runs_outcomes_and_deaths_by_type() -> None:
    recorder = Recorder(asyncio.get_running_loop().time)

    async def handle(task: Task) -> None:
        await asyncio.sleep(3)
        if task.type == "bad":
            raise Reject("no")

    async with stage(handle, recorder=recorder) as play:
        await play.submit("late", type="good", delay=7 * SECOND)
        await play.submit("now", type="bad")
        for task_id in ("late", "now"):
            await play.ended(task_id)
    seen = recorder.take().types
    assert (seen["good"].outcomes, seen["good"].deaths) == ({"succeeded": 1}, 0)
    assert (seen["bad"].outcomes, seen["bad"].deaths) == ({"failed": 1}, 1)
    for name in ("good", "bad"):
        assert seen[name].durations.sum == 3 * SECOND
        assert sum(seen[name].durations.counts) == 1
        assert seen[name].waits.sum < SECOND
        assert sum(seen[name].waits.counts) == 1


@in_virtual_time
async def test_each_attempt_counts_once_and_a_refused_settlement_not_at_all() -> None:
    recorder = Recorder()

    async def handle(task: Task) -> None:
        if task.id == "cancelled":
            await play.ledger.cancel(task.id, None, None)
        else:
            await failing(task)

    async with stage(handle, recorder=recorder) as play:
        await play.submit("fails", max_retries=2)
        await play.submit("cancelled", type="gone")
        for task_id in ("fails", "cancelled"):
            await play.ended(task_id)
        await asyncio.sleep(60)
    seen = recorder.take().types
    assert (seen["default"].outcomes, seen["default"].deaths) == ({"failed": 3}, 1)
    assert seen["gone"].outcomes == {}
    assert recorder.take() == Measures()


@in_virtual_time
async def test_what_is_counted_is_published_soon_and_the_rest_at_the_end() -> None:
    ledger, recorder = Doubtful(clock), Recorder()
    async with publishing(ledger, recorder):
        recorder.settled("mail", DONE)
        await asyncio.sleep(INTERVAL + 0.1)
        assert await attempts(ledger) == 1
        recorder.settled("mail", DONE)
        recorder.settled("mail", DONE)
    assert await attempts(ledger) == 3


@in_virtual_time
async def test_where_nothing_happens_a_process_says_that_it_is_there_and_no_more() -> None:
    ledger, recorder = Doubtful(clock), Recorder()
    async with publishing(ledger, recorder):
        await asyncio.sleep(10.5 * STILL_HERE)
    assert 9 <= ledger.calls.count("publish") <= 10
    assert SILENT > 2 * STILL_HERE * SECOND


@in_virtual_time
async def test_what_the_ledger_did_not_take_it_gets_with_the_next_and_once() -> None:
    ledger, recorder = Doubtful(clock), Recorder()
    ledger.failures = {"open": ["before", "after"], "publish": ["before", "after", "before"]}
    async with publishing(ledger, recorder):
        for number in range(1, 9):
            recorder.settled("mail", DONE)
            await asyncio.sleep(INTERVAL)
            assert await attempts(ledger) <= number
        await asyncio.sleep(INTERVAL)
        assert await attempts(ledger) == 8


@in_virtual_time
async def test_who_was_taken_for_ended_goes_on_and_nothing_counts_twice() -> None:
    ledger, recorder = Doubtful(clock), Recorder()
    mine = publisher(ledger, recorder)
    recorder.settled("mail", DONE)
    await mine.publish()
    await asyncio.sleep(SILENT / SECOND)  # as if this machine had slept
    await ledger.open_measures("another")
    recorder.settled("mail", DONE)
    await mine.publish()
    assert await attempts(ledger) == 2
    recorder.settled("mail", DONE)
    await mine.close()
    assert await attempts(ledger) == 3


@in_virtual_time
async def test_a_lost_answer_before_a_long_silence_never_makes_a_count_too_high() -> None:
    for fault in ("before", "after"):
        ledger, recorder = Doubtful(clock), Recorder()
        mine = publisher(ledger, recorder)
        await mine.publish()
        ledger.failures = {"publish": [fault]}
        recorder.settled("mail", DONE)
        with suppress(LedgerUnavailable):
            await mine.publish()
        await asyncio.sleep(SILENT / SECOND)
        await ledger.open_measures("another")
        recorder.settled("mail", DONE)
        await mine.publish()
        assert await attempts(ledger) == {"before": 1, "after": 2}[fault]


@in_virtual_time
async def test_a_ledger_that_does_not_answer_holds_up_no_end() -> None:
    ledger, recorder = Doubtful(clock), Recorder()
    ledger.failures = {"open": ["before"] * 9}
    async with publishing(ledger, recorder):
        recorder.settled("mail", DONE)


@in_virtual_time
async def test_where_a_ledger_keeps_no_measures_none_are_published() -> None:
    class Plain:
        """Offers nothing."""

    plain: Ledger = Plain()  # type: ignore[assignment]
    async with publishing(plain, Recorder()):
        await asyncio.sleep(10 * INTERVAL)


@given(st.lists(st.floats(-1, 4000) | st.sampled_from(BOUNDS), max_size=40), st.integers(1, 9))
def test_each_duration_falls_into_the_first_bucket_that_reaches_it(
    some: list[float], looks: int
) -> None:
    durations = Durations()
    for number, seconds in enumerate(some):
        durations.add(seconds)
        if number % looks == 0:
            durations.seen()
    seen = durations.seen()
    for bound, below in zip(BOUNDS, accumulate(seen.counts), strict=False):
        assert below == sum(seconds <= bound for seconds in some)
    assert sum(seen.counts) == len(some)
    assert abs(seen.sum / SECOND - sum(max(0.0, one) for one in some)) < 0.001


def test_a_worker_that_nobody_asks_keeps_no_more_than_so_many_durations() -> None:
    durations = Durations()
    for _ in range(10 * SORTED_AT_ONCE):
        durations.add(0.1)
    assert len(durations._new) < SORTED_AT_ONCE
    assert sum(durations.seen().counts) == 10 * SORTED_AT_ONCE


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_flood_of_types_takes_no_more_room_than_so_many(rounds: int) -> None:
    recorder = Recorder()
    for _ in range(rounds):
        for number in range(3 * MOST_TYPES):
            recorder.settled(f"t{number}", DONE)
        seen = recorder.take().types
        assert len(seen) == MOST_TYPES + 1
        assert seen[OTHER].outcomes == {"succeeded": 2 * MOST_TYPES}
