"""Hints: what is due wakes a waiting worker, and what changes is told to those who watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import pytest

from tests.conformance.stage import Stage
from unlost.ledger import local_hints
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken
from unlost.task import State

PATIENCE = 20.0
"""Seconds after which a hint that should have come counts as missing."""


async def wakes(waiting: asyncio.Task[Woken], step: Callable[[], Awaitable[object]]) -> Woken:
    """A hint may be lost, so the step is done until one arrives."""
    async with asyncio.timeout(PATIENCE):
        while not waiting.done():
            await step()
            await asyncio.wait([waiting], timeout=0.05)
    return await waiting


async def test_a_wait_ends_after_its_time(ledger: Ledger) -> None:
    async with asyncio.timeout(PATIENCE):
        await ledger.wait(0.01)


async def test_a_submit_wakes_who_waits(stage: Stage) -> None:
    waiting = asyncio.create_task(stage.ledger.wait(PATIENCE * 2))
    numbers = count()
    await wakes(waiting, lambda: stage.submit(f"t{next(numbers)}"))


async def test_a_submit_wakes_who_waits_elsewhere(stage: Stage) -> None:
    other = await stage.another()
    waiting = asyncio.create_task(other.wait(PATIENCE * 2))
    numbers = count()
    await wakes(waiting, lambda: stage.submit(f"t{next(numbers)}"))


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_wake_up_names_the_types_that_it_is_about(stage: Stage, elsewhere: bool) -> None:
    ledger = await stage.another() if elsewhere else stage.ledger
    numbers = count()
    types: Woken = None
    while types is None:  # what was missed before is any type's
        waiting = asyncio.create_task(ledger.wait(PATIENCE * 2))
        types = await wakes(waiting, lambda: stage.submit(f"t{next(numbers)}", type="mail"))
    assert types == {"mail"}


async def test_a_retry_and_a_redrive_wake_who_waits(stage: Stage) -> None:
    await stage.submit("a", max_retries=100_000)
    await stage.ledger.wait(0.01)
    waiting = asyncio.create_task(stage.ledger.wait(PATIENCE * 2))

    async def fail() -> None:
        await stage.retry(await stage.run("a"))

    await wakes(waiting, fail)
    waiting = asyncio.create_task(stage.ledger.wait(PATIENCE * 2))

    async def redrive() -> None:
        await stage.die(await stage.run("a"))
        await stage.ledger.redrive("a", None, None)

    await wakes(waiting, redrive)


async def collect(events: AsyncIterator[list[Transition]], last: State) -> list[Transition]:
    """What is told up to the first entry into the state `last`."""
    seen: list[Transition] = []
    async with asyncio.timeout(PATIENCE):
        async for batch in events:
            seen += batch
            if any(transition.state is last for transition in batch):
                return seen
    raise AssertionError("the transitions ended")


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_those_who_watch_see_a_task_go_through_its_states(
    stage: Stage, elsewhere: bool
) -> None:
    watched = await stage.another() if elsewhere else stage.ledger
    await stage.submit("before")
    async with watched.transitions() as events:
        await stage.submit("a", type="mail")
        await stage.retry(await stage.run("a"))
        await stage.die(await stage.run("a"))
        await stage.ledger.redrive("a", None, None)
        await stage.succeed(await stage.run("a"))
        seen = await collect(events, State.SUCCEEDED)
    now = stage.clock.now
    assert [transition for transition in seen if transition.task_id == "a"] == [
        Transition("a", "mail", State.QUEUED, 0, now),
        Transition("a", "mail", State.RUNNING, 1, now),
        Transition("a", "mail", State.RETRYING, 1, now),
        Transition("a", "mail", State.RUNNING, 2, now),
        Transition("a", "mail", State.DEAD, 2, now),
        Transition("a", "mail", State.QUEUED, 2, now),
        Transition("a", "mail", State.RUNNING, 3, now),
        Transition("a", "mail", State.SUCCEEDED, 3, now),
    ]


async def test_cancelling_and_discarding_are_told(stage: Stage) -> None:
    await stage.bury("b")
    async with stage.ledger.transitions() as events:
        await stage.submit("a")
        await stage.ledger.cancel("a", None, None)
        seen = await collect(events, State.CANCELLED)
        assert seen[-1] == Transition("a", "default", State.CANCELLED, 0, stage.clock.now)
        await stage.ledger.discard("b", None, None)
        seen = await collect(events, State.CANCELLED)
        assert seen[-1] == Transition("b", "default", State.CANCELLED, 1, stage.clock.now)


async def test_several_may_watch(stage: Stage) -> None:
    async with stage.ledger.transitions() as first, stage.ledger.transitions() as second:
        await stage.submit("a")
        for events in (first, second):
            (seen,) = await collect(events, State.QUEUED)
            assert seen.task_id == "a"


async def test_who_does_not_look_holds_nobody_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = stage.many(30_000)
    monkeypatch.setattr(local_hints, "BUFFERED", many // 3)
    async with stage.ledger.transitions():
        async with asyncio.timeout(PATIENCE):
            for number in range(50):
                await stage.submit(*(f"t{number}-{n}" for n in range(many // 50)))
    assert (await stage.ledger.counts()).accepted == many
