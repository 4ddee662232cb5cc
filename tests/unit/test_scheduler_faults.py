"""Schedules that cannot be decided on, and ledgers that fail, keep no other from its times."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.ticking import kept, make, running, tasks
from tests.unit.virtual import clock, in_virtual_time
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import ROOM
from unlost.schedule import deciding
from unlost.schedule.schedule import Move, Moved, Schedule, stepped
from unlost.upkeep import scheduler


@in_virtual_time
async def test_a_schedule_that_cannot_be_decided_on_keeps_no_other_from_its_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = MemoryLedger(clock)
    for name in ("a", "b"):
        schedule = await make(ledger, name)
        lost = replace(schedule.plan, every=None, cron="0 * * * *", timezone="Mars/Olympus")
        await ledger.move_schedules(
            [Move(stepped(schedule, plan=lost), schedule.revision, new_plan=True)]
        )
    await make(ledger)
    async with running(ledger):
        await asyncio.sleep(35)
    assert len(await tasks(ledger)) == 3
    broken = [vars(one)["schedule"] for one in caplog.records if one.message == "schedule.broken"]
    assert broken == ["a", "b"]


@in_virtual_time
async def test_broken_schedules_that_fill_the_room_keep_no_other_from_its_times() -> None:
    ledger = MemoryLedger(clock)
    payload = f'"{"x" * (ROOM // 8)}"'
    for number in range(9):
        schedule = await make(ledger, f"a{number}", payload=payload)
        lost = replace(schedule.plan, every=None, cron="0 * * * *", timezone="Mars/Olympus")
        await ledger.move_schedules(
            [Move(stepped(schedule, plan=lost), schedule.revision, new_plan=True)]
        )
    await make(ledger)
    async with running(ledger):
        await asyncio.sleep(35)
    assert len(await tasks(ledger)) == 3


@in_virtual_time
async def test_a_schedule_that_is_mended_and_breaks_again_is_told_of_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = MemoryLedger(clock)
    sound = await make(ledger)
    lost = replace(sound.plan, every=None, cron="* * * * *", timezone="Mars/Olympus")
    broken = stepped(sound, plan=lost)

    async def change(before: Schedule, after: Schedule) -> None:
        await ledger.move_schedules([Move(after, before.revision, new_plan=True)])

    async with running(ledger):
        await change(sound, broken)
        await asyncio.sleep(15)
        await change(broken, stepped(broken, plan=sound.plan))
        await asyncio.sleep(1)
        mended = await kept(ledger)
        await change(mended, stepped(mended, plan=lost))
        await asyncio.sleep(15)
    told = [one for one in caplog.records if one.message == "schedule.broken"]
    assert len(told) == 2
    assert len(await tasks(ledger)) == 1


class Faulty(MemoryLedger):
    """Fails on steps of one schedule, and on all that are taken with them."""

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        if any(one.schedule.id == "bad" and one.ticks for one in moves):
            raise TypeError("of no known kind")
        return await super().move_schedules(moves)


@in_virtual_time
async def test_a_schedule_that_its_ledger_fails_on_keeps_no_other_from_its_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = Faulty(clock)
    for name in ("a", "bad", "c"):
        await make(ledger, name)
    async with running(ledger):
        await asyncio.sleep(35)
    assert [one.made for one in await ledger.schedules("", 10)] == [3, 0, 3]
    [told] = [one for one in caplog.records if one.message == "schedule.broken"]
    assert (vars(told)["schedule"], vars(told)["why"]) == ("bad", "of no known kind")
    assert told.exc_info is not None


@in_virtual_time
async def test_a_fault_in_deciding_keeps_no_other_from_its_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = MemoryLedger(clock)
    for name in ("a", "bad", "c"):
        await make(ledger, name)

    def decide(schedule: Schedule, *args: Any, **how: Any) -> list[Move]:
        if schedule.id == "bad":
            raise OverflowError("date value out of range")
        return deciding.decide(schedule, *args, **how)

    monkeypatch.setattr(scheduler, "decide", decide)
    async with running(ledger):
        await asyncio.sleep(35)
    assert [one.made for one in await ledger.schedules("", 10)] == [3, 0, 3]


class Unavailable(MemoryLedger):
    """Answers no step for a while, or takes it and does not say so."""

    def __init__(self) -> None:
        super().__init__(clock)
        self.until = 0.0

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        found = await super().move_schedules(moves)
        if asyncio.get_running_loop().time() < self.until:
            raise LedgerUnavailable("cut off")
        return found


@in_virtual_time
async def test_a_step_whose_outcome_is_not_known_is_not_taken_twice() -> None:
    ledger = Unavailable()
    await make(ledger)
    await make(ledger, "t")
    async with running(ledger):
        ledger.until = 12
        await asyncio.sleep(25)
    assert sorted((await tasks(ledger)).values()) == pytest.approx([10, 10, 20, 20], abs=0.1)
