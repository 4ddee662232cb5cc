"""A start that takes long is told of, shown, and ended when its time is over: to the moment."""

from __future__ import annotations

import asyncio
import logging
import signal
from itertools import pairwise

import pytest

from tests.unit.slow_children import NEVER, tree
from tests.unit.stage import lose
from tests.unit.virtual import in_virtual_time
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Worker
from unlost.settings import WrongSetting, resolve
from unlost.supervisor.brief import SHOW
from unlost.supervisor.processes.starting import TO_SHOW, CannotStart, told_of
from unlost.task import Micros

WORKER = frozenset({"worker"})
NOT_READY = (
    "the {} process was not ready after {} s (--start-timeout); it was importing app:handlers"
)


@pytest.fixture(autouse=True)
def _told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "unlost")


def told(caplog: pytest.LogCaptureFixture, event: str, member: str) -> list[object]:
    return [vars(one).get(member) for one in caplog.records if one.message == event]


@in_virtual_time
async def test_a_start_that_takes_long_is_told_of_with_growing_gaps(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with tree(119.0) as starting:
        await starting.start(WORKER)
        assert asyncio.get_running_loop().time() == 119.0
        assert len(starting.born) == 1
        assert starting.born[0].signals == []
    assert told(caplog, "process.starting", "seconds") == [5, 15, 35, 75]
    assert set(told(caplog, "process.starting", "pid")) == {1}
    assert set(told(caplog, "process.starting", "worker")) == {"w1"}
    assert set(told(caplog, "process.starting", "doing")) == {"importing app:handlers"}


@in_virtual_time
async def test_a_quick_start_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    async with tree(4.9) as starting:
        await starting.start(WORKER)
        await starting.until(300)
        assert len(starting.born) == 1
        assert await starting.shown() == {"w1": False}
    assert caplog.records == []


@pytest.mark.parametrize(("roles", "role"), [(WORKER, "worker"), (frozenset({"api"}), "api")])
@in_virtual_time
async def test_a_first_start_that_never_ends_is_an_end_with_one_line(
    roles: frozenset[str], role: str
) -> None:
    async with tree(NEVER, NEVER) as starting:
        with pytest.raises(CannotStart) as refused:
            await starting.start(roles)
        assert asyncio.get_running_loop().time() == 120 + TO_SHOW
        assert starting.born[0].signals == [SHOW, signal.SIGKILL]
        assert await starting.shown() == {}
    assert str(refused.value) == NOT_READY.format(role, 120)


@in_virtual_time
async def test_one_of_several_that_never_starts_ends_the_first_start() -> None:
    async with tree(1.0, NEVER, workers=2, start_timeout=30.0) as starting:
        with pytest.raises(CannotStart, match="not ready after 30 s"):
            await starting.start(WORKER)
        assert all(child.exited.done() for child in starting.born)


@in_virtual_time
async def test_replacements_that_never_start_are_ended_and_started_again_after_growing_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with tree(1.0, *[NEVER] * 7, 1.0, start_timeout=40.0) as starting:
        await starting.start(WORKER)
        await starting.until(100)
        starting.born[0].end(-9)
        await starting.until(500)
        births = [child.born for child in starting.born[1:]]
        pauses = [later - one - 40 - TO_SHOW for one, later in pairwise(births)]
        assert births[0] == pytest.approx(100.1)
        assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
        assert all(child.put_down for child in starting.born[1:8])
    whys = told(caplog, "process.ended", "why")
    assert whys == [None] + 7 * [NOT_READY.format("worker", 40)]


@in_virtual_time
async def test_a_child_that_lived_for_long_is_started_again_at_once() -> None:
    async with tree(1.0, NEVER, 1.0, 1.0, start_timeout=40.0) as starting:
        await starting.start(WORKER)
        starting.born[0].end(-9)
        await asyncio.sleep(80)
        assert len(starting.born) == 3
        starting.born[2].end(-9)
        ended = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        assert starting.born[3].born == pytest.approx(ended + 0.1)


@in_virtual_time
async def test_a_worker_whose_start_takes_long_is_shown_by_the_ledger() -> None:
    async with tree(1.0, 60.0, workers=1, lease=8.0) as starting:
        await starting.start(WORKER)
        starting.born[0].end(-9)
        await starting.until(1.1 + 4.9)
        assert await starting.shown() == {}
        for seconds in range(9, 61):
            await starting.until(seconds)
            assert await starting.shown() == {"w2": True}
            assert (await starting.ledger.counts()).workers == 0
        await starting.until(62)
        assert await starting.shown() == {"w2": False}


@in_virtual_time
async def test_a_worker_that_was_ended_in_its_start_is_shown_no_more() -> None:
    async with tree(1.0, NEVER, NEVER, start_timeout=20.0) as starting:
        await starting.start(WORKER)
        starting.born[0].end(-9)
        await starting.until(20)
        assert await starting.shown() == {"w2": True}
        await starting.until(22)
        assert await starting.shown() == {}
        await starting.until(30)
        assert await starting.shown() == {"w3": True}


class Slow(MemoryLedger):
    """Word of a start takes three seconds."""

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        if worker.starting:
            await asyncio.sleep(3)
        await super().enlist(worker, lease)


@in_virtual_time
async def test_word_of_a_start_that_arrives_after_its_end_leaves_nothing() -> None:
    async with tree(1.0, NEVER, 1.0, start_timeout=8.0, ledger=Slow) as starting:
        await starting.start(WORKER)
        starting.born[0].end(-9)  # the ledger is told of the next one at 8 s, and knows at 11 s
        for seconds in range(12, 60):
            await starting.until(seconds)
            assert starting.born[1].exited.done()
            assert await starting.shown() == {"w3": False}


@in_virtual_time
async def test_word_of_a_start_that_arrives_late_takes_nothing_from_who_is_ready() -> None:
    async with tree(1.0, 8.0, ledger=Slow) as starting:
        await starting.start(WORKER)
        starting.born[0].end(-9)
        await starting.until(60)
        assert await starting.shown() == {"w2": False}


@in_virtual_time
async def test_a_lone_worker_that_never_starts_is_ended_and_another_is_started(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with tree(1.0, NEVER, NEVER, 1.0, start_timeout=40.0) as starting:
        await lose(starting.ledger, "t")
        await starting.start(WORKER)
        await starting.until(20)
        assert await starting.shown() == {"w1": False, "w2": True}
        await starting.until(2.0 + 2 * 46)
        first, second, third = starting.born[1:]
        assert (first.alone, second.alone, third.alone) == (True, True, True)
        assert first.put_down
        assert second.put_down
        assert not third.put_down
        assert second.born - first.born == pytest.approx(40 + TO_SHOW + 5)
    assert len(told(caplog, "process.ended", "why")) == 2


@in_virtual_time
async def test_a_child_that_is_ready_at_the_last_moment_lives() -> None:
    async with tree(1.0, 40.0 + TO_SHOW / 2, start_timeout=40.0) as starting:
        await starting.start(WORKER)
        starting.born[0].end(-9)
        await starting.until(100)
        assert len(starting.born) == 2
        assert starting.born[1].signals == [SHOW]
        assert starting.born[1].failure == ""


@in_virtual_time
async def test_the_reason_that_a_child_gave_stays_where_it_does_not_end() -> None:
    async with tree(NEVER, start_timeout=40.0) as starting:
        asyncio.get_running_loop().call_later(
            10, lambda: setattr(starting.born[0], "failure", "importing 'app' failed: mine")
        )
        with pytest.raises(CannotStart, match="importing 'app' failed: mine"):
            await starting.start(WORKER)


@in_virtual_time
async def test_a_stop_waits_for_no_start() -> None:
    async with tree(1.0, NEVER) as starting:
        await starting.start(WORKER)
        starting.born[0].end(-9)
        await starting.until(20)
        starting.stop()
        await starting.run()
        assert asyncio.get_running_loop().time() == 20


@in_virtual_time
async def test_what_is_told_to_stop_before_it_starts_starts_nothing() -> None:
    async with tree(NEVER) as starting:
        starting.stop()
        await starting.start(WORKER)
        assert starting.born == []


class LooksSlowly(MemoryLedger):
    """What is due is found out in ten seconds."""

    async def due_in(self, *args: object, **options: object) -> Micros | None:
        await asyncio.sleep(10)
        return 0


@in_virtual_time
async def test_a_stop_lets_no_lone_worker_start() -> None:
    async with tree(1.0, NEVER, ledger=LooksSlowly) as starting:
        await starting.start(WORKER)
        await starting.until(5)
        starting.stop()
        await starting.run()
        assert len(starting.born) == 1


@in_virtual_time
async def test_the_supervisors_own_start_is_told_of_and_has_no_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def lasts(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "open"

    assert await told_of(lasts(4.9), "opening the ledger") == "open"
    assert caplog.records == []
    assert await told_of(lasts(200), "opening the ledger") == "open"
    assert told(caplog, "process.starting", "seconds") == [5, 15, 35, 75, 155]
    assert set(told(caplog, "process.starting", "role")) == {"supervisor"}


@in_virtual_time
async def test_what_the_supervisors_own_start_raises_is_raised() -> None:
    async def fails() -> None:
        await asyncio.sleep(7)
        raise LedgerUnavailable("gone")

    with pytest.raises(LedgerUnavailable, match="gone"):
        await told_of(fails(), "opening the ledger")


def test_the_time_is_a_setting() -> None:
    assert resolve({}, {}).start_timeout == 120
    assert resolve({}, {"UNLOST_START_TIMEOUT": "7.5"}).start_timeout == 7.5
    with pytest.raises(WrongSetting, match="--start-timeout must be 1 to"):
        resolve({"start_timeout": "0"}, {})
