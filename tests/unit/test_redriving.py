"""Redrives go on by themselves, soon after an end, and cost nothing where there are none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from tests.conformance.stage import Clock, Stage
from tests.unit.virtual import clock, in_virtual_time
from unlost.ledger.memory import MemoryLedger, redrives
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import RedrivePlace
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import SECOND
from unlost.upkeep.redrives import KEPT, Redriving


class Scene:
    """A ledger with dead letters, and who lets redrives go on."""

    def __init__(self, ledger: MemoryLedger | None = None) -> None:
        self.ledger = ledger or MemoryLedger(clock)
        self.later = 0
        self.stage = Stage(self.ledger, Clock(), self.same)

    async def same(self) -> Ledger:
        return self.ledger

    async def begin(self, new: Redrive, *task_ids: str) -> None:
        for task_id in task_ids:
            await self.stage.bury(task_id)
            await asyncio.sleep(1)
        await self.ledger.add_redrive(new, Named())

    async def redrive(self) -> Redrive:
        redrive = await self.ledger.get_redrive("one")
        assert redrive is not None
        return redrive

    async def while_it_goes_on(self, act: Callable[[], Awaitable[None]]) -> None:
        going = asyncio.create_task(
            Redriving(
                self.ledger,
                clock=lambda: clock() + self.later,
                monotonic=asyncio.get_running_loop().time,
            ).run()
        )
        try:
            await act()
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)


@in_virtual_time
async def test_it_moves_on_within_two_seconds_of_an_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene()
    await scene.begin(Redrive("one"), "a", "b", "c")

    async def watch() -> None:
        await asyncio.sleep(2)
        for task_id in "abc":
            assert (await scene.redrive()).under_way == 1
            await asyncio.sleep(60)
            await scene.stage.succeed(await scene.stage.run(task_id))
            await asyncio.sleep(2)
        assert (await scene.redrive()).state is RedriveState.DONE

    await scene.while_it_goes_on(watch)
    [line] = [one for one in caplog.records if one.message.startswith("redrive.")]
    assert (line.message, vars(line)["succeeded"]) == ("redrive.done", 3)


@in_virtual_time
async def test_a_stop_is_warned_of_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    await scene.begin(Redrive("one"), "a", "b")

    async def watch() -> None:
        await asyncio.sleep(2)
        await scene.stage.die(await scene.stage.run("a"))
        await asyncio.sleep(2)

    await scene.while_it_goes_on(watch)
    [line] = [one for one in caplog.records if one.message.startswith("redrive.")]
    assert (line.message, vars(line)["why"]) == ("redrive.stopped", "1 died again")
    assert vars(line)["left"] == 1


class Counting(MemoryLedger):
    """Counts what it is asked, and is away for a while."""

    looks = steps = 0
    away = False

    async def open_redrives(
        self, limit: int, after: RedrivePlace | None = None
    ) -> list[RedrivePlace]:
        self.looks += 1
        if self.away:
            raise LedgerUnavailable("it is away")
        return await super().open_redrives(limit, after)

    async def step_redrive(self, redrive_id: str) -> Redrive:
        self.steps += 1
        return await super().step_redrive(redrive_id)


@in_virtual_time
async def test_without_redrives_it_looks_once_a_second_and_no_more() -> None:
    ledger = Counting(clock)
    await Scene(ledger).while_it_goes_on(lambda: asyncio.sleep(60))
    assert 58 <= ledger.looks <= 70
    assert ledger.steps == 0


@in_virtual_time
async def test_one_that_begins_is_stepped_at_once_and_goes_on_without_a_pause() -> None:
    scene = Scene(Counting(clock))
    for number in range(3):
        await scene.stage.bury(f"t{number}")

    async def begin() -> None:
        await asyncio.sleep(0.5)
        await scene.ledger.add_redrive(Redrive("one", canary=0), Named())
        await asyncio.sleep(0.001)
        assert (await scene.redrive()).under_way == 3

    await scene.while_it_goes_on(begin)


@in_virtual_time
async def test_while_nothing_ends_it_steps_seldom() -> None:
    ledger = Counting(clock)
    scene = Scene(ledger)
    await scene.begin(Redrive("one"), "a", "b")
    await scene.while_it_goes_on(lambda: asyncio.sleep(60))
    assert ledger.steps <= 75


@in_virtual_time
async def test_it_goes_on_once_the_ledger_answers_again() -> None:
    ledger = Counting(clock)
    scene = Scene(ledger)
    await scene.begin(Redrive("one"), "a")
    ledger.away = True

    async def watch() -> None:
        await asyncio.sleep(30)
        ledger.away = False
        await asyncio.sleep(2)
        assert (await scene.redrive()).under_way == 1

    await scene.while_it_goes_on(watch)


@in_virtual_time
async def test_those_that_ended_are_kept_for_ninety_days() -> None:
    scene = Scene()
    await scene.begin(Redrive("one"))
    await scene.ledger.step_redrive("one")
    done = await scene.redrive()
    assert done.state is RedriveState.DONE
    for later, kept in ((KEPT - 60 * SECOND, True), (KEPT + 60 * SECOND, False)):
        scene.later = later
        await scene.while_it_goes_on(lambda: asyncio.sleep(5))
        assert (await scene.ledger.get_redrive("one") is not None) is kept


class Failing(MemoryLedger):
    """A step of one redrive always fails."""

    fault: Exception = LedgerUnavailable("it is refused")

    async def step_redrive(self, redrive_id: str) -> Redrive:
        if redrive_id == "failing":
            raise self.fault
        return await super().step_redrive(redrive_id)


@in_virtual_time
async def test_one_that_always_fails_holds_up_neither_others_nor_the_purge(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for fault in (LedgerUnavailable("it is refused"), ValueError("no such id")):
        caplog.clear()
        ledger = Failing(clock)
        ledger.fault = fault
        scene = Scene(ledger)
        await ledger.add_redrive(Redrive("over", limit=1), Named())
        await ledger.step_redrive("over")
        await scene.begin(Redrive("failing"), "a")
        await scene.begin(Redrive("one", canary=0), "b", "c")
        scene.later = KEPT + 60 * SECOND
        await scene.while_it_goes_on(lambda: asyncio.sleep(5))
        assert (await scene.redrive()).under_way == 3
        assert await ledger.get_redrive("over") is None
        told = [vars(one)["redrive"] for one in caplog.records if one.message == "redrive.failed"]
        assert told == ["failing"]


@in_virtual_time
async def test_all_that_are_open_go_on_however_many() -> None:
    ledger = MemoryLedger(clock)
    for number in range(2_100):
        await ledger.add_redrive(Redrive(f"r{number}", canary=0), Named())
    await Scene(ledger).while_it_goes_on(lambda: asyncio.sleep(2))
    assert await ledger.count_redrives() == {RedriveState.DONE: 2_100}


class Working(Counting):
    """Workers end `at_once` letters each 10 ms, as many as are under way."""

    at_once = 0
    dry = 0  # times at which they found nothing, though letters were left

    async def work(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            kept = self._redrives["one"]
            ready = [one for one in kept.under_way if self._tasks[one].record.state == "queued"]
            if not ready and kept.redrive.redriven and kept.redrive.left:
                self.dry += 1
            for task_id in ready[: self.at_once]:
                await self.cancel(task_id, None, None)


async def worked(
    ledger: MemoryLedger, seconds: float, *working: Coroutine[Any, Any, None]
) -> Redrive:
    """A redrive of 3,000 letters that such workers have worked on for so long."""
    scene = Scene(ledger)
    for number in range(3_000):
        await scene.stage.bury(f"t{number}")
    await asyncio.sleep(1)
    await ledger.add_redrive(Redrive("one", canary=0), Named())
    tasks = [asyncio.create_task(one) for one in working]
    await scene.while_it_goes_on(lambda: asyncio.sleep(seconds))
    for task in tasks:
        task.cancel()
    return await scene.redrive()


@in_virtual_time
async def test_quick_workers_never_run_out_of_letters() -> None:
    ledger = Working(clock)
    ledger.at_once = 250
    assert (await worked(ledger, 1.5, ledger.work())).state is RedriveState.DONE
    assert ledger.dry == 0


@in_virtual_time
async def test_while_few_of_many_end_it_steps_seldom() -> None:
    ledger = Working(clock)
    ledger.at_once = 1
    assert (await worked(ledger, 10, ledger.work())).cancelled > 900
    assert ledger.steps < 120


class Busy(Counting):
    """Two workers claim 200 letters each, and settle them as late that 28,000 end a second."""

    cycle = 0.014
    claims = short = 0  # those that found fewer, though letters were left

    def __init__(self) -> None:
        super().__init__(clock)
        self._claimed: set[str] = set()

    async def work(self, later: float) -> None:
        await asyncio.sleep(later)
        running: list[str] = []
        while True:
            for task_id in running:
                await self.cancel(task_id, None, None)
            running = self._claim_letters(200)
            await asyncio.sleep(self.cycle)

    def _claim_letters(self, most: int) -> list[str]:
        kept = self._redrives["one"]
        found = [one for one in kept.under_way if one not in self._claimed][:most]
        self._claimed.update(found)
        if kept.redrive.redriven and kept.redrive.left:
            self.claims += 1
            self.short += len(found) < most
        return found


@in_virtual_time
async def test_busy_workers_fill_their_claims_whatever_one_step_may_take() -> None:
    ledger = Busy()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(redrives, "MOST_UNDER_WAY", 500)
        redrive = await worked(ledger, 1.5, ledger.work(0), ledger.work(ledger.cycle / 2))
    assert redrive.state is RedriveState.DONE
    assert (ledger.claims > 10, ledger.short) == (True, 0)
    assert ledger.steps < 16
