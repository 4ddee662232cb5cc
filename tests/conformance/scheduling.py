"""Schedules for the conformance tests: every ten seconds, or as one says."""

from __future__ import annotations

from typing import Any

from tests.conformance.stage import Stage
from unlost.schedule import acting, deciding
from unlost.schedule.schedule import Move, Moved, Plan, Schedule
from unlost.schedule.times import Every
from unlost.task import SECOND

TZDATA = "2026a"


TEN = Every(10)


def plan(payload: str = '{"n": 1}', **options: Any) -> Plan:
    """A plan for every ten seconds, unless it says otherwise."""
    asked: dict[str, Any] = {"type": "mail", "digest": b"d", "every": 10, **options}
    return Plan(payload=payload, **asked)


async def made(
    stage: Stage, name: str = "nightly", *, paused: bool = False, **options: Any
) -> Schedule:
    """A new schedule."""
    asked = plan(**options)
    move = acting.created(
        name, asked, Every(asked.every or 10), stage.clock.now, TZDATA, paused=paused
    )
    assert await stage.ledger.move_schedules([move]) == [Moved.DONE]
    return move.schedule


def decided(schedule: Schedule, stage: Stage, **how: Any) -> list[Move]:
    """What is to be done about it now."""
    times = Every(schedule.plan.every or 10)
    return deciding.decide(schedule, times, stage.clock.now, TZDATA, **how)


async def kept(stage: Stage, name: str = "nightly") -> Schedule:
    """The schedule as the ledger has it."""
    now, found = await stage.ledger.schedule(name)
    assert now == stage.clock.now
    assert found is not None
    return found


async def tick(stage: Stage, name: str = "nightly", **how: Any) -> list[Moved]:
    """Look at a schedule, and do what is to be done."""
    return await stage.ledger.move_schedules(decided(await kept(stage, name), stage, **how))


def at(stage: Stage, seconds: float) -> int:
    """A moment so many seconds from now."""
    return stage.clock.now + round(seconds * SECOND)
