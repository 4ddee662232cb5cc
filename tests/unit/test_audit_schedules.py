"""The audit holds what a schedule says that it has made against the tasks themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.conformance import scheduling
from tests.conformance.stage import Clock, submission
from tests.unit.breakable import Breakable
from unlost import carried
from unlost.audit import SCHEDULES, audit
from unlost.carried import Carried, Scheduled
from unlost.ledger.memory import MemoryLedger
from unlost.schedule.schedule import Missed, Schedule, tick_id
from unlost.task import Micros

BEGUN = Clock().now
TEN = 10_000_000


def at(tick: int) -> Micros:
    """The time of the schedule's so many-th tick."""
    return (BEGUN // TEN + tick) * TEN


@pytest.fixture
async def stage() -> Breakable:
    """A schedule with times that came to tasks, and two that were missed."""
    clock = Clock()
    stage = Breakable(MemoryLedger(clock), clock)
    await scheduling.made(stage, missed=Missed.SKIP)
    for _ in range(3):
        clock.advance(10)
        await scheduling.tick(stage)
    clock.advance(90)
    await scheduling.tick(stage)
    return stage


def schedule(stage: Breakable) -> Schedule:
    return stage.inside._schedules["nightly"][0]


def change(stage: Breakable, **changes: object) -> None:
    kept, ticks = stage.inside._schedules["nightly"]
    stage.inside._schedules["nightly"] = (replace(kept, **changes), ticks)


def lose(stage: Breakable, tick: int) -> None:
    """The task of a tick is gone."""
    del stage.inside._tasks[tick_id("nightly", at(tick))]


async def smuggle(stage: Breakable, tick: int, *, by_hand: bool = False) -> None:
    """A task that says that it was made for a tick."""
    text = carried.write(Carried(schedule=Scheduled("nightly", at(tick), by_hand)))
    await stage.ledger.submit([replace(submission("smuggled"), carried=text)])


async def wrong(stage: Breakable) -> list[str]:
    found = await audit(stage.ledger)
    assert found.ok is not bool(found.violations)
    told = [one.detail for one in found.violations if one.promise == SCHEDULES]
    assert found.lost or len(told) == len(found.violations)
    return told


async def test_a_sound_one_passes_also_beside_a_run_by_hand(stage: Breakable) -> None:
    assert (schedule(stage).made, schedule(stage).skipped) == (10, 2)
    assert await wrong(stage) == []
    await smuggle(stage, 2, by_hand=True)
    assert await wrong(stage) == []


async def test_a_task_of_a_schedule_that_had_this_id_before_is_none_of_it(stage: Breakable) -> None:
    await stage.ledger.drop_schedule("nightly")
    await scheduling.made(stage)
    assert await wrong(stage) == []
    stage.clock.advance(10)
    await scheduling.tick(stage)
    assert await wrong(stage) == []


async def test_one_that_is_missing_is_named(stage: Breakable) -> None:
    lose(stage, 2)
    [told] = await wrong(stage)
    assert told.startswith(f"schedule nightly: {tick_id('nightly', at(2))}, which it made for")
    assert told.endswith("is not there")


async def test_one_of_a_tick_that_was_skipped_is_one_too_many(stage: Breakable) -> None:
    tick = next(one for one in await stage.ledger.ticks("nightly", 10) if one.reason is not None)
    await smuggle(stage, (tick.time - at(0)) // TEN)
    made = schedule(stage).made
    assert await wrong(stage) == [
        f"schedule nightly: {made} are counted as made, {made + 1} tasks are of its times"
    ]


async def test_a_count_beyond_the_ticks_that_are_kept_is_held_against_the_tasks(
    stage: Breakable,
) -> None:
    change(stage, made=11, due=13)
    assert await wrong(stage) == [
        "schedule nightly: 11 are counted as made, 10 tasks of it are there"
    ]


BESIDE: list[Callable[[Breakable], object]] = [
    scheduling.tick,
    lambda stage: stage.ledger.drop_schedule("nightly"),
]


@pytest.mark.parametrize("step", BESIDE, ids=["a tick", "its end"])
@pytest.mark.parametrize("call", ["schedules", "entries", "ticks"])
async def test_what_happens_to_it_meanwhile_is_no_violation(
    stage: Breakable, monkeypatch: pytest.MonkeyPatch, call: str, step: Callable[..., object]
) -> None:
    stage.clock.advance(10)
    asked, done = getattr(stage.inside, call), list[bool]()

    async def after(*args: object, **how: object) -> object:
        found = await asked(*args, **how)
        if not done:
            done.append(True)
            await step(stage)  # type: ignore[misc]
        return found

    monkeypatch.setattr(stage.inside, call, after)
    assert await wrong(stage) == []
    assert done
