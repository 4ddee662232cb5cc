"""The simulated handler."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest

from tests.unit.stage import stage
from tests.unit.test_handlers import task
from tests.unit.virtual import in_virtual_time
from unlost.handlers import Reject, Task
from unlost.handlers.simulated import BadSimulation, SimulatedFailure, simulated
from unlost.ledger.values import Worker as Member
from unlost.task import SECOND, State


async def outcome(
    simulate: Any = None, *, rate: float = 0.3, seed: int | None = 1, **changes: Any
) -> str:
    """What becomes of one attempt."""
    payload = "{}" if simulate is None else json.dumps({"simulate": simulate})
    handler = simulated(rate, seed, Random(1)).find("default")
    try:
        await handler.function(task(payload=payload, **changes))
    except Exception as error:  # noqa: BLE001  whatever it is, it is the answer
        return type(error).__name__
    return "succeeded"


async def failures(rate: float, seed: int | None) -> int:
    """How many of 2,000 attempts fail."""
    handler = simulated(rate, seed, Random(1)).find("default")
    count = 0
    for number in range(2000):
        try:
            await handler.function(task(id=f"t{number}", number=1))
        except SimulatedFailure:
            count += 1
    return count


async def test_a_share_of_the_attempts_fails() -> None:
    assert 540 < await failures(0.3, seed=1) < 660
    assert 540 < await failures(0.3, seed=None) < 660
    assert await failures(0.0, seed=1) == 0
    assert await failures(1.0, seed=1) == 2000


async def test_under_a_seed_an_outcome_depends_on_seed_task_and_number_alone() -> None:
    async def ends(seed: int, **changes: Any) -> list[str]:
        return [await outcome(seed=seed, id=f"t{n}", **changes) for n in range(200)]

    first = await ends(1, number=1, attempt=1)
    assert first == await ends(1, number=1, attempt=3, redrive_count=9)
    assert first != await ends(1, number=2, attempt=1)
    assert first != await ends(2, number=1, attempt=1)


@pytest.mark.parametrize(
    ("simulate", "ends"),
    [
        ({"outcome": "fail"}, ["SimulatedFailure"] * 3),
        ({"outcome": "succeed"}, ["succeeded"] * 3),
        ({"outcome": "reject"}, [Reject.__name__] * 3),
        ({"failTimes": 2}, ["SimulatedFailure", "SimulatedFailure", "succeeded"]),
        ({"outcome": "fail", "failTimes": 1}, ["SimulatedFailure", "succeeded", "succeeded"]),
        ({"outcome": "succeed", "failTimes": 1}, ["SimulatedFailure", "succeeded", "succeeded"]),
        ({"outcome": "reject", "failTimes": 1}, ["Reject", "succeeded", "succeeded"]),
        ({"failTimes": 0}, ["succeeded"] * 3),
        ({"failTimes": 2.0}, ["SimulatedFailure", "SimulatedFailure", "succeeded"]),
    ],
)
async def test_a_payload_steers_the_attempts_of_each_redrive(
    simulate: Any, ends: list[str]
) -> None:
    for number in (0, 5):  # those before a redrive do not count
        steered = [
            await outcome(simulate, attempt=n, number=number + n) for n in range(1, len(ends) + 1)
        ]
        assert steered == ends


@in_virtual_time
async def test_seconds_pass_before_the_outcome() -> None:
    loop = asyncio.get_running_loop()
    assert await outcome({"seconds": 2.5, "outcome": "reject"}) == "Reject"
    assert loop.time() == pytest.approx(2.5)


@in_virtual_time
async def test_a_hanging_attempt_never_returns_but_can_be_cancelled() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1e6):
            await outcome({"outcome": "hang"})


@pytest.mark.parametrize(
    ("simulate", "why"),
    [
        (7, "simulate must be an object, not 7"),
        ([], "simulate must be an object"),
        ({"outcome": "explode"}, "outcome must be one of fail, succeed, reject, hang, crash"),
        ({"outcome": None}, "outcome must be one of"),
        ({"outcome": ["fail"]}, "outcome must be one of"),
        ({"failTimes": -1}, "failTimes must be 0 or more, not -1"),
        ({"failTimes": 1.5}, "failTimes must be a whole number"),
        ({"failTimes": True}, "failTimes must be a number"),
        ({"failTimes": "2"}, "failTimes must be a number"),
        ({"seconds": -0.1}, "seconds must be 0 or more"),
        ({"seconds": None}, "seconds must be a number"),
        ({"fail_times": 1}, "simulate has no member 'fail_times'"),
    ],
)
async def test_nonsense_fails_the_attempt_and_says_why(simulate: Any, why: str) -> None:
    handler = simulated(0.0, 1, Random(1)).find("default")
    with pytest.raises(BadSimulation, match=why):
        await handler.function(task(payload=json.dumps({"simulate": simulate})))


@pytest.mark.parametrize("number", ["1e400", "9" * 5000, "1" + "0" * 400 + ".5"])
async def test_a_number_beyond_all_measure_is_nonsense_or_a_long_time_never_a_fault(
    number: str,
) -> None:
    handler = simulated(0.0, 1, Random(1)).find("default")
    payload = f'{{"simulate":{{"seconds":{number}}}}}'
    with pytest.raises((BadSimulation, TimeoutError)):
        async with asyncio.timeout(0.01):
            await handler.function(task(payload=payload))


@in_virtual_time
async def test_its_worker_leaves_what_is_named_by_the_api_to_who_named_it() -> None:
    async with stage(simulated(0.0, 1, Random(1))) as play:
        await play.ledger.enlist(Member("puller", ("mail",), pull=True), 5 * SECOND)
        await play.submit("mine", type="sms")
        await play.submit("theirs", type="mail")
        assert (await play.ended("mine")).state is State.SUCCEEDED
        await asyncio.sleep(59)
        record = await play.ledger.get("theirs")
        assert record is not None
        assert record.attempt_count == 0
        named_until = record.submitted_at + 60 * SECOND
        record = await play.ended("theirs")
    assert named_until <= record.attempts[0].started_at <= named_until + SECOND


@in_virtual_time
async def test_handlers_that_were_named_take_what_they_find() -> None:
    async def handler(task: Task) -> None:
        pass

    async with stage(handler) as play:
        await play.ledger.enlist(Member("puller", ("mail",), pull=True), 5 * SECOND)
        await play.submit("t", type="mail")
        assert (await play.ended("t")).state is State.SUCCEEDED
