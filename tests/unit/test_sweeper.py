"""The sweeper, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from tests.unit.stage import Unreliable, submission, why
from tests.unit.virtual import EPOCH, clock, in_virtual_time, jump
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import PULLED, Claim, Held, Pull, Settled, Settlement, Worker
from unlost.policy import Limits
from unlost.settings import Settings
from unlost.task import SECOND, Micros, Outcome, Record, State
from unlost.telemetry.measuring import Recorder
from unlost.upkeep.sweeper import Sweeper

LEASE = 15


@asynccontextmanager
async def sweeping(
    ledger: Unreliable, recorder: Recorder | None = None, **settings: Any
) -> AsyncIterator[Sweeper]:
    sweeper = Sweeper(
        ledger,
        Settings(lease=LEASE, seed=1, **settings),
        clock=clock,
        monotonic=asyncio.get_running_loop().time,
        random=Random(1),
        recorder=recorder,
    )
    task = asyncio.create_task(sweeper.run())
    yield sweeper
    task.cancel()


async def claimed(ledger: Unreliable, task_id: str, max_retries: int = 2) -> None:
    """Have a worker claim a task, and be heard of no more."""
    await ledger.submit([submission(task_id, max_retries=max_retries)])
    await ledger.enlist(Worker("silent"), LEASE * SECOND)
    assert await ledger.claim(Claim("silent", ["token"], None, Limits(2, 3600.0)))


class Narrow(Unreliable):
    """A ledger that takes at most 50 in one call, as one that has a time limit for each."""

    def _refuse(self, count: int) -> None:
        if count > 50:
            raise LedgerUnavailable("that is too much")

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        self._refuse(len(settlements))
        return await super().settle(settlements)

    async def purge(self, before: Micros, limit: int) -> int:
        self._refuse(limit)
        return await super().purge(before, limit)


class Slow(Unreliable):
    """A ledger that has no end of tasks to purge, and takes 2 s for each step."""

    async def purge(self, before: Micros, limit: int) -> int:
        await asyncio.sleep(2)
        return limit


async def record(ledger: Unreliable, task_id: str) -> Record:
    found = await ledger.get(task_id)
    assert found is not None
    return found


@in_virtual_time
async def test_what_a_silent_worker_held_is_lost_within_a_second_of_its_lease() -> None:
    ledger = Unreliable(clock)
    await claimed(ledger, "t")
    async with sweeping(ledger):
        await asyncio.sleep(LEASE - 0.01)
        assert (await record(ledger, "t")).state is State.RUNNING
        await asyncio.sleep(1.01)
        task = await record(ledger, "t")
    [lost] = task.attempts
    assert task.state is State.RETRYING
    assert (lost.outcome, why(task).type) == (Outcome.LOST, "WorkerLost")
    assert await ledger.due_in(None) is None
    assert await ledger.due_in(None, alone=True) is not None


@in_virtual_time
async def test_the_last_lost_attempt_is_the_end_of_the_task() -> None:
    ledger = Unreliable(clock)
    await claimed(ledger, "t", max_retries=0)
    async with sweeping(ledger):
        await asyncio.sleep(LEASE + 1)
        task = await record(ledger, "t")
    assert (task.state, why(task).type) == (State.DEAD, "WorkerLost")


@in_virtual_time
async def test_a_worker_that_was_reaped_is_struck_off() -> None:
    ledger = Unreliable(clock)
    await claimed(ledger, "t")
    async with sweeping(ledger):
        await asyncio.sleep(LEASE + 1)
    assert await ledger.extend(["silent"], SECOND) == set()


@in_virtual_time
async def test_a_sweeper_that_was_paused_itself_waits_one_more_lease() -> None:
    ledger = Unreliable(clock)
    await claimed(ledger, "t")
    async with sweeping(ledger):
        await asyncio.sleep(5)
        jump(60)
        await asyncio.sleep(LEASE - 1)
        assert (await record(ledger, "t")).state is State.RUNNING
        await asyncio.sleep(3)
        assert (await record(ledger, "t")).state is State.RETRYING


class Away(Unreliable):
    """A ledger in memory that answers nothing, or takes no write, as `away` says."""

    away = ""

    async def held(self, worker: str | None) -> list[Held]:
        if self.away == "all":
            raise LedgerUnavailable("held")
        return await super().held(worker)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        if self.away:
            raise LedgerUnavailable("settle")
        return await super().settle(settlements)

    async def ping(self) -> None:
        if self.away:
            raise LedgerUnavailable("ping")


@pytest.mark.parametrize("kind", ["all", "writes"])
@in_virtual_time
async def test_an_outage_longer_than_a_lease_costs_nobody_an_attempt_who_is_heard_of_then(
    kind: str,
) -> None:
    ledger = Away(clock)
    await claimed(ledger, "t")
    async with sweeping(ledger):
        await asyncio.sleep(2)
        for _ in range(2):
            ledger.away = kind
            await asyncio.sleep(LEASE + 2)
            ledger.away = ""
            await asyncio.sleep(6)  # so long may a heartbeat take that was under way
            assert await ledger.extend(["silent"], LEASE * SECOND) == {"silent"}
            assert (await record(ledger, "t")).state is State.RUNNING
        await asyncio.sleep(2 * LEASE + 2)
        assert (await record(ledger, "t")).state is State.RETRYING


class Hanging(Unreliable):
    """A ledger whose writes hang while it is not `open`, and whose reads answer."""

    def __init__(self) -> None:
        super().__init__(clock)
        self.open = asyncio.Event()
        self.open.set()

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        await self.open.wait()
        return await super().settle(settlements)

    async def ping(self) -> None:
        await self.open.wait()


@pytest.mark.parametrize("ends_after", [LEASE + 0.5, LEASE + 2, LEASE + 60])
@in_virtual_time
async def test_an_outage_in_which_writes_hang_costs_nobody_an_attempt_who_is_heard_of_then(
    ends_after: float,
) -> None:
    ledger = Hanging()
    await claimed(ledger, "t")
    async with sweeping(ledger):
        ledger.open.clear()
        await asyncio.sleep(ends_after)
        ledger.open.set()
        await asyncio.sleep(6)  # so long may a heartbeat take that was under way
        assert await ledger.extend(["silent"], LEASE * SECOND) == {"silent"}
        assert (await record(ledger, "t")).state is State.RUNNING
        await asyncio.sleep(2 * LEASE + 2)
        assert (await record(ledger, "t")).state is State.RETRYING


class Locked(Unreliable):
    """A ledger that takes 4 s to take no settlement of the tasks that somebody has locked."""

    def __init__(self, locked: set[str]) -> None:
        super().__init__(clock)
        self.locked = locked

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        if any(one.task_id in self.locked for one in settlements):
            await asyncio.sleep(4)
            raise LedgerUnavailable("a lock")
        return await super().settle(settlements)


async def states(ledger: Unreliable) -> dict[State, int]:
    return dict((await ledger.counts()).states)


@in_virtual_time
async def test_one_record_that_is_locked_keeps_no_other_from_being_reaped() -> None:
    names = [f"t{number}" for number in range(100)]
    ledger = Locked({"t0"})
    await ledger.submit([submission(name) for name in names])
    await ledger.enlist(Worker("silent"), LEASE * SECOND)
    assert len(await ledger.claim(Claim("silent", names, None, Limits(2, 3600.0)))) == 100
    async with sweeping(ledger):
        await asyncio.sleep(LEASE + 40)
        assert (await states(ledger))[State.RUNNING] == 1
        await ledger.submit([submission("later")])
        await ledger.enlist(Worker("silent too"), SECOND)
        assert await ledger.claim(Claim("silent too", ["token"], None, Limits(2, 3600.0)))
        await asyncio.sleep(8)  # what was left comes after those who have just been lost
        assert (await record(ledger, "later")).state is State.RETRYING
        ledger.locked.clear()
        await asyncio.sleep(10)
        assert (await record(ledger, "t0")).state is State.RETRYING


@in_virtual_time
async def test_a_lost_attempt_that_is_locked_keeps_none_from_being_timed_out_or_purged() -> None:
    ledger = Locked({"t"})
    await claimed(ledger, "t")
    await ledger.submit([submission("pulled"), submission("over")])
    token = f"{PULLED}claim."
    wanted = Claim("w", [f"{token}1"], {"default": Limits(2, 20.0)}, Limits(2, 20.0))
    assert (await ledger.pull(Pull(wanted, "", 3600 * SECOND, token, token, False))).attempts
    await ledger.cancel("over", None, None)
    async with sweeping(ledger, retain=60):
        await asyncio.sleep(90)
        assert (await record(ledger, "t")).state is State.RUNNING
        (attempt,) = (await record(ledger, "pulled")).attempts
        assert attempt.outcome is Outcome.TIMED_OUT
        assert (await record(ledger, "over")).purged_at is not None


@in_virtual_time
async def test_finished_tasks_are_purged_after_the_time_that_was_set() -> None:
    ledger = Unreliable(clock)
    await ledger.submit([submission(f"t{n}") for n in range(1200)])
    for n in range(1200):
        await ledger.cancel(f"t{n}", None, None)
    async with sweeping(ledger, retain=60):
        await asyncio.sleep(59)
        assert (await record(ledger, "t0")).purged_at is None
        await asyncio.sleep(3)
        purged = [await record(ledger, f"t{n}") for n in range(1200)]
    assert all(task.purged_at and task.purged_at <= EPOCH + 62 * SECOND for task in purged)


@in_virtual_time
async def test_a_purge_without_an_end_does_not_keep_the_lost_from_being_reaped() -> None:
    ledger = Slow(clock)
    await claimed(ledger, "t")
    async with sweeping(ledger, retain=1):
        await asyncio.sleep(LEASE + 4)
        assert (await record(ledger, "t")).state is State.RETRYING


@in_virtual_time
async def test_what_cannot_be_reaped_in_one_call_is_in_several() -> None:
    ledger = Narrow(clock)
    await ledger.submit([submission(f"t{number}") for number in range(1_200)])
    await ledger.enlist(Worker("silent"), LEASE * SECOND)
    tokens = [f"token{number}" for number in range(1_200)]
    assert len(await ledger.claim(Claim("silent", tokens, None, Limits(2, 3600.0)))) == 1_200
    recorder = Recorder()
    async with sweeping(ledger, recorder=recorder):
        await asyncio.sleep(LEASE + 60)
        counts = (await ledger.counts()).states
    assert counts[State.RETRYING] == 1_200
    assert recorder.take().types["default"].outcomes == {Outcome.LOST: 1_200}


@in_virtual_time
async def test_what_cannot_be_purged_in_one_call_is_in_several() -> None:
    ledger = Narrow(clock)
    names = [f"t{number}" for number in range(300)]
    await ledger.submit([submission(name) for name in names])
    for name in names:
        await ledger.cancel(name, None, None)
    async with sweeping(ledger, retain=1):
        await asyncio.sleep(60)
        purged = [(await record(ledger, name)).purged_at is not None for name in names]
    assert all(purged)
