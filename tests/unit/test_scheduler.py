"""The scheduler makes each tick at its time, once, whoever else looks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from tests.conformance.scheduling import plan
from tests.conformance.stage import submission
from tests.unit.ticking import FIRST, kept, make, running, tasks
from tests.unit.virtual import EPOCH, clock, in_virtual_time, jump
from unlost import carried
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import ROOM
from unlost.schedule import acting, deciding
from unlost.schedule.planned import times_of, tzdata
from unlost.schedule.schedule import Missed, Move, Moved, Overlap, Schedule, stepped, tick_id
from unlost.task import SECOND
from unlost.upkeep import scheduler
from unlost.upkeep.scheduler import INTERVAL, REST, Scheduler


@in_virtual_time
async def test_a_tick_is_made_at_its_time() -> None:
    ledger = MemoryLedger(clock)
    async with running(ledger):
        await asyncio.sleep(3.3)
        await make(ledger)
        await make(ledger, "cron", cron="* * * * *", every=None, timezone="Europe/Berlin")
        await asyncio.sleep(20)
        assert list((await tasks(ledger)).values()) == pytest.approx([10, 20], abs=0.002)
        await asyncio.sleep(40)
    assert "cron@2023-11-14T22:14:00Z" in await tasks(ledger)
    assert (await kept(ledger, "cron")).tzdata == tzdata()


@in_virtual_time
async def test_a_schedule_that_is_due_at_once_when_it_is_made_is_not_late() -> None:
    ledger = MemoryLedger(clock)
    async with running(ledger):
        await asyncio.sleep(60.98)
        await make(ledger, every=1)
        await asyncio.sleep(INTERVAL + 0.1)
        assert await tasks(ledger) == {"s@2023-11-14T22:14:21Z": pytest.approx(61, abs=INTERVAL)}


@in_virtual_time
async def test_of_several_schedulers_one_makes_a_tick() -> None:
    ledger = MemoryLedger(clock)
    for number in range(20):
        await make(ledger, f"s{number}")
    async with running(*[ledger] * 3):
        await asyncio.sleep(35)
    assert len(await tasks(ledger)) == 60
    assert [(one.due, one.made) for one in await ledger.schedules("", 100)] == [(3, 3)] * 20


@in_virtual_time
async def test_a_thousand_that_are_due_at_one_moment_are_made_at_once() -> None:
    ledger = MemoryLedger(clock)
    for number in range(1_200):
        await make(ledger, f"s{number}")
    async with running(ledger):
        await asyncio.sleep(10.1)
    assert (await ledger.counts()).accepted == 1_200


class Timed(MemoryLedger):
    """Knows when how many steps were taken together, in seconds since the beginning."""

    def __init__(self) -> None:
        super().__init__(clock)
        self.taken: list[tuple[float, int]] = []

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        self.taken.append(((clock() - EPOCH) / SECOND, len(moves)))
        return await super().move_schedules(moves)


@in_virtual_time
async def test_who_submits_beside_many_ticks_waits_for_few_of_them() -> None:
    ledger = Timed()
    for number in range(300):
        await make(ledger, f"s{number}")
    async with running(ledger):
        await asyncio.sleep(11)
    ticks = [one for one in ledger.taken if one[0] >= 10]
    most = ledger.moves_at_once
    assert [many for _, many in ticks] == [most] * (300 // most)
    assert all(b - a > 0.9 * REST for (a, _), (b, _) in pairwise(ticks))


@in_virtual_time
async def test_what_is_taken_together_is_bounded_by_its_weight() -> None:
    ledger = Timed()
    payload = f'"{"x" * (ROOM // 8)}"'
    await make(ledger, every=3600, payload=payload, missed=Missed.ALL)
    jump(24 * 3600)
    await Scheduler(ledger, Random(1)).look()
    assert [many for _, many in ledger.taken] == [1, 8, 8, 8]


@in_virtual_time
async def test_after_a_stop_what_was_missed_is_made_good() -> None:
    ledger = MemoryLedger(clock)
    async with running(ledger):
        await make(ledger, "last", every=3600)
        await make(ledger, "all", every=3600, missed=Missed.ALL)
        jump(24 * 3600)
        await asyncio.sleep(1)
    schedules = {one.id: one for one in await ledger.schedules("", 10)}
    assert [(one.due, one.made) for one in schedules.values()] == [(24, 24), (24, 1)]
    assert len(await tasks(ledger)) == 25


@in_virtual_time
async def test_between_two_schedules_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger, turn = MemoryLedger(clock), 0
    for number in range(20):
        await make(ledger, f"s{number}", missed=Missed.SKIP)
    jump(24 * 3600)
    decided: list[int] = []

    def decide(*args: Any, **how: Any) -> list[Move]:
        decided.append(turn)
        return deciding.decide(*args, **how)

    async def others() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(scheduler, "decide", decide)
    monkeypatch.setattr(scheduler, "REST", 0)  # time stands still while others have turns
    beside = asyncio.create_task(others())
    await Scheduler(ledger, Random(1)).look()
    beside.cancel()
    assert len(decided) >= 20
    assert len(set(decided)) == len(decided)


@in_virtual_time
async def test_an_id_that_others_have_taken_is_passed_by(caplog: pytest.LogCaptureFixture) -> None:
    ledger = MemoryLedger(clock)
    await make(ledger)
    taken = [tick_id("s", FIRST), tick_id("s", FIRST, 2)]
    await ledger.submit([submission(name) for name in taken])
    with caplog.at_level(logging.WARNING):
        async with running(ledger):
            await asyncio.sleep(15)
    assert (await kept(ledger)).last_task == tick_id("s", FIRST, 3)
    assert [vars(one)["taskId"] for one in caplog.records] == taken
    assert {one.message for one in caplog.records} == {"schedule.conflict"}


@in_virtual_time
async def test_a_tick_that_a_schedule_of_this_id_made_before_is_not_made_again() -> None:
    """A schedule that is deleted and made anew by a clock that has gone back."""
    ledger = MemoryLedger(clock)
    await make(ledger)
    async with running(ledger):
        await asyncio.sleep(11)
        await ledger.drop_schedule("s")
        again = acting.created("s", plan(), times_of(plan()), EPOCH, "", paused=False)
        await ledger.move_schedules([again])
        await asyncio.sleep(3)
    now = await kept(ledger)
    assert (now.due, now.made) == (1, 0)
    assert now.last is not None
    assert now.last.reason == "made_before"
    assert list(await tasks(ledger)) == [tick_id("s", FIRST)]


@in_virtual_time
async def test_with_overlap_skip_it_waits_for_the_end_of_its_last_task() -> None:
    ledger = MemoryLedger(clock)
    await make(ledger, overlap=Overlap.SKIP)
    async with running(ledger):
        await asyncio.sleep(25)
        assert list(await tasks(ledger)) == [tick_id("s", FIRST)]
        await ledger.cancel(tick_id("s", FIRST), None, None)
        await asyncio.sleep(10)
    now = await kept(ledger)
    assert (now.due, now.made, now.skipped) == (3, 2, 1)


@in_virtual_time
async def test_what_a_tick_makes_names_its_schedule_and_its_time() -> None:
    ledger = MemoryLedger(clock)
    await make(ledger, callback_url="https://example.com/", set_by="ops")
    async with running(ledger):
        await asyncio.sleep(11)
    record = await ledger.get(tick_id("s", FIRST))
    assert record is not None
    text = carried.read(record.carried)
    assert (text.callback_url, text.submitted_by) == ("https://example.com/", "ops")
    assert text.schedule == carried.Scheduled("s", FIRST)


class Watched(MemoryLedger):
    """Knows how many steps without a tick were taken together."""

    def __init__(self) -> None:
        super().__init__(clock)
        self.found: list[int] = []

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        if not any(one.ticks for one in moves):
            self.found.append(len(moves))
        return await super().move_schedules(moves)


@in_virtual_time
async def test_next_times_of_other_time_zone_data_are_found_again_at_once_and_each_hour() -> None:
    ledger = Watched()
    for number in range(60):
        await make(ledger, f"s{number:02}", cron="30 2 * * *", every=None, timezone="Europe/Berlin")
    right = (await kept(ledger, "s00")).next
    assert right is not None

    async def earlier(name: str) -> None:
        """As if its clock were two hours ahead of UTC at its next time."""
        known = await kept(ledger, name)
        other = stepped(known, next=right - 3600 * SECOND, offset=7200, tzdata="2020a")
        await ledger.move_schedules([Move(other, known.revision)])

    for number in range(60):
        await earlier(f"s{number:02}")
    ledger.found.clear()
    async with running(ledger):
        await asyncio.sleep(1)
        assert ledger.found == [50, 10]
        assert {one.next for one in await ledger.schedules("", 100)} == {right}
        await earlier("s07")
        await asyncio.sleep(scheduler.FIND_AGAIN)
    assert ledger.found == [50, 10, 1, 1]
    now = await kept(ledger, "s07")
    assert (now.next, now.offset, now.tzdata) == (right, 3600, tzdata())
    assert now.plan.payload == '{"n": 1}'


@in_virtual_time
async def test_a_look_for_next_times_that_is_cut_off_goes_on_and_what_is_due_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on AWS, where a step is given seconds."""

    class Slow(MemoryLedger):
        async def schedules(self, after: str, *args: Any, **options: Any) -> list[Schedule]:
            await asyncio.sleep(1)
            pages.append(after)
            return await super().schedules(after, *args, **options)

    pages: list[str] = []
    ledger = Slow(clock)
    monkeypatch.setattr(scheduler, "AT_ONCE", 2)
    for number in range(6):
        await make(ledger, f"s{number}")
    jump(11)
    steps = Scheduler(ledger, Random(1))

    async def step(seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await steps.step()

    await step(0.5)
    assert (len(await tasks(ledger)), pages) == (6, [])
    for _ in range(6):
        await step(1.5)
    assert pages == ["", "s1", "s3", "s5"]
