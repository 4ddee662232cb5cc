"""A worker that is told to end while its ledger does not answer: it ends beside its claim."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.stage import Stage, Unreliable, stage
from tests.unit.virtual import clock, in_virtual_time
from unlost.handlers import Task
from unlost.ledger.values import Claim, Claimed, Held
from unlost.task import Outcome, State
from unlost.worker.ending import Ending

GRACE = 25.0
LONGER = 60.0
"""Seconds for which the ledger lets a call wait: longer than any handler has to end."""


class Withholding(Unreliable):
    """A ledger whose claims and looks at what is held wait, before or `after` they are done,
    until `open` is set."""

    def __init__(self, *, after: bool) -> None:
        super().__init__(clock)
        self.after = after
        self.open = asyncio.Event()
        self.open.set()

    async def claim(self, claim: Claim) -> list[Claimed]:
        if not self.after:
            await self.open.wait()
        claimed = await super().claim(claim)
        await self.open.wait()
        return claimed

    async def held(self, worker: str | None) -> list[Held]:
        await self.open.wait()
        return await super().held(worker)


class Handler:
    """Runs for so many seconds; `began` are the tasks that it was called for."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.began: list[str] = []

    async def __call__(self, task: Task) -> None:
        self.began.append(task.id)
        await asyncio.sleep(self.seconds)


@asynccontextmanager
async def ending(handler: Handler, *, after: bool) -> AsyncIterator[tuple[Stage, Withholding]]:
    """A worker that runs `t` and is told to end while its claim of `late` waits."""
    ledger = Withholding(after=after)
    async with stage(handler, ledger=ledger, grace=GRACE, concurrency=2) as play:
        await play.submit("t")
        await play.running("t")
        await asyncio.sleep(0.1)
        ledger.open.clear()
        await play.submit("late")
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().call_later(LONGER, ledger.open.set)
        play.worker.drain()
        yield play, ledger
        assert await play.worker_task is Ending.DRAINED


either = pytest.mark.parametrize("after", [False, True], ids=["not done", "done"])


@either
@in_virtual_time
async def test_handlers_are_let_finish_and_settled_while_a_claim_waits(after: bool) -> None:
    async with ending(Handler(10.0), after=after) as (play, _):
        await asyncio.sleep(10)
        record = await play.record("t")
        assert (record.state, record.attempt_count) == (State.SUCCEEDED, 1)


@either
@in_virtual_time
async def test_handlers_are_told_at_the_end_of_the_grace_period_while_a_claim_waits(
    after: bool,
) -> None:
    async with ending(Handler(100.0), after=after) as (play, _):
        await asyncio.sleep(GRACE)
        record = await play.record("t")
        assert (record.state, record.attempt_count) == (State.QUEUED, 0)
        assert [one.outcome for one in record.attempts] == [Outcome.RELEASED]


@either
@in_virtual_time
async def test_what_a_claim_gives_to_a_worker_that_ends_goes_back_and_is_not_begun(
    after: bool,
) -> None:
    handler = Handler(10.0)
    async with ending(handler, after=after) as (play, ledger):
        await asyncio.sleep(5)
        ledger.open.set()
        await asyncio.sleep(0.1)  # `t` still runs
        record = await play.record("late")
        assert (record.state, record.attempt_count) == (State.QUEUED, 0)
        assert [one.outcome for one in record.attempts] == [Outcome.RELEASED]
    assert handler.began == ["t"]
    assert (await play.record("t")).state is State.SUCCEEDED


@in_virtual_time
async def test_a_worker_waits_for_a_claim_that_may_give_something_and_not_longer() -> None:
    handler = Handler(1.0)
    async with ending(handler, after=True) as (play, _):
        began = asyncio.get_running_loop().time()
        await play.worker_task
        assert asyncio.get_running_loop().time() - began == pytest.approx(LONGER, abs=0.1)
    assert (await play.record("late")).state is State.QUEUED
    assert handler.began == ["t"]


@in_virtual_time
async def test_a_worker_that_is_told_to_end_while_it_looks_what_its_claim_took_claims_no_more() -> (
    None
):
    ledger = Withholding(after=False)
    async with stage(Handler(1.0), ledger=ledger, grace=GRACE) as play:
        await asyncio.sleep(0.1)
        ledger.failures["claim"] = ["after"]
        await play.submit("t")
        await asyncio.sleep(0.05)
        ledger.open.clear()  # before it looks
        await asyncio.sleep(5)
        claims = ledger.calls.count("claim")
        play.worker.drain()
        ledger.open.set()
        assert await play.worker_task is Ending.DRAINED
        record = await play.record("t")
    assert ledger.calls.count("claim") == claims
    assert (record.state, record.attempt_count) == (State.QUEUED, 0)
    assert [one.outcome for one in record.attempts] == [Outcome.RELEASED]
