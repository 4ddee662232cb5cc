"""`task.effect`: recorded at once, whatever becomes of the attempt."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence

import pytest

from tests.unit.stage import Stage, Unreliable, stage
from tests.unit.test_worker_threads import stage as threaded
from tests.unit.virtual import clock, in_virtual_time
from unlost.effects import MAX_EFFECT_NAME, MAX_EFFECTS, effect_name
from unlost.handlers import Retry, Task
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import NewEffect
from unlost.task import Outcome, State

HIDDEN = "\N{REPLACEMENT CHARACTER}"


class Away(Unreliable):
    """A ledger that records no effect before a moment of the loop's time."""

    back = 0.0
    tries = 0

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        self.tries += 1
        if asyncio.get_running_loop().time() < self.back:
            raise LedgerUnavailable("declare_effects")
        await super().declare_effects(new)


async def declared(play: Stage) -> list[tuple[int, int, str]]:
    page = await play.ledger.list_effects(None, 10_000)
    return [(one.effect.attempt, one.effect.turn, one.effect.name) for one in page.effects]


@in_virtual_time
async def test_what_an_attempt_declares_is_recorded_before_it_ends() -> None:
    seen = list[list[tuple[int, int, str]]]()

    async def handler(task: Task) -> None:
        task.effect("charged")
        await asyncio.sleep(0.001)  # while it goes on
        seen.append(await declared(play))
        task.effect("mailed")
        if task.attempt == 1:
            raise Retry

    async with stage(handler, max_retries=1) as play:
        await play.submit("t")
        await play.ended("t")
        await play.drained()
        found = await declared(play)
    assert seen[0] == [(1, 1, "charged")]
    assert found == [(1, 1, "charged"), (1, 2, "mailed"), (2, 1, "charged"), (2, 2, "mailed")]


@in_virtual_time
async def test_it_is_recorded_of_an_attempt_that_times_out() -> None:
    async def handler(task: Task) -> None:
        task.effect("charged")
        await asyncio.sleep(1_000)

    async with stage(handler, max_retries=0, attempt_timeout=1) as play:
        await play.submit("t")
        record = await play.ended("t")
        assert record.attempts[-1].outcome is Outcome.TIMED_OUT
        assert await declared(play) == [(1, 1, "charged")]


@in_virtual_time
async def test_a_worker_does_not_stop_before_it_is_recorded() -> None:
    async def handler(task: Task) -> None:
        task.effect("charged")

    ledger = Away(clock)
    async with stage(handler, ledger=ledger) as play:
        ledger.back = asyncio.get_running_loop().time() + 20
        await play.submit("t")
        await play.ended("t")
        await play.drained()
        assert await declared(play) == [(1, 1, "charged")]
    assert 2 < ledger.tries < 30


@in_virtual_time
async def test_more_than_are_kept_of_one_attempt_are_passed_over() -> None:
    async def handler(task: Task) -> None:
        for number in range(MAX_EFFECTS + 5):
            task.effect(f"n{number}")

    async with stage(handler) as play:
        await play.submit("t")
        record = await play.ended("t")
        assert record.state is State.SUCCEEDED
        await play.drained()
        found = await declared(play)
    assert [turn for _, turn, _ in found] == list(range(1, MAX_EFFECTS + 1))


async def test_in_a_thread_it_is_recorded_once_it_returns() -> None:
    loop = asyncio.get_running_loop()
    seen = list[int]()

    def handler(task: Task) -> None:
        def twenty() -> None:
            for _ in range(20):
                task.effect("x")

        other = threading.Thread(target=twenty)
        other.start()
        twenty()
        other.join()
        seen.append(len(asyncio.run_coroutine_threadsafe(declared(play), loop).result()))

    async with threaded(handler) as play:
        await play.submit("t")
        await play.ended("t")
        turns = [turn for _, turn, _ in await declared(play)]
    assert seen == [40]
    assert turns == list(range(1, 41))


async def test_a_forked_child_records_nothing_and_waits_for_nothing() -> None:
    def handler(task: Task) -> None:
        child = os.fork()
        if child == 0:
            task.effect("of the child")
            os._exit(0)
        os.waitpid(child, 0)
        task.effect("charged")

    async with threaded(handler) as play:
        await play.submit("t")
        await play.ended("t")
        assert [name for _, _, name in await declared(play)] == ["charged"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("charged", "charged"),
        ("mail to ann@example.org", "mail to ann@example.org"),
        ("", "?"),
        (7, "7"),
        ("a\0b\nc\ud800", f"a{HIDDEN}b{HIDDEN}c{HIDDEN}"),
        ("é" * 300, "é" * MAX_EFFECT_NAME),
    ],
)
def test_whatever_it_is_called_it_is_kept(name: object, kept: str) -> None:
    assert effect_name(name) == kept
