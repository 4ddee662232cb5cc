"""Cancelling: at once, in every state that is not over."""

from __future__ import annotations

import pytest

from tests.conformance.stage import BOOM, Stage
from unlost.ledger.protocol import Refused, UnknownTask
from unlost.task import Act, Event, Outcome, State


@pytest.mark.parametrize("state", [State.QUEUED, State.RETRYING])
async def test_a_cancelled_task_never_runs(stage: Stage, state: State) -> None:
    await stage.into(state, "a")
    now = stage.clock.advance(60)
    await stage.ledger.cancel("a", "ann", "not needed")
    entry = await stage.entry("a")
    assert entry.record.state is State.CANCELLED
    assert entry.record.updated_at == now
    assert entry.record.due_at is None
    assert entry.record.history == (Act(now, Event.CANCEL, "ann", "not needed"),)
    assert not entry.claimable
    assert await stage.claim(5) == []


async def test_a_task_that_is_not_yet_due_can_be_cancelled(stage: Stage) -> None:
    await stage.submit("a", delay=60)
    await stage.ledger.cancel("a", None, None)
    stage.clock.advance(61)
    assert await stage.claim() == []
    assert await stage.ledger.due_in(None) is None


async def test_cancelling_a_running_task_ends_its_attempt(stage: Stage) -> None:
    await stage.submit("a")
    attempt = await stage.run("a")
    now = stage.clock.advance(2)
    await stage.ledger.cancel("a", None, None)
    entry = await stage.entry("a")
    assert entry.record.state is State.CANCELLED
    (ended,) = entry.record.attempts
    assert (ended.outcome, ended.finished_at, ended.error) == (Outcome.CANCELLED, now, None)
    assert entry.record.attempt_count == 1
    assert (entry.token, entry.worker) == (None, None)
    assert await stage.ledger.held("worker") == []
    assert await stage.ledger.dropped({attempt.token: "a"}) == [attempt.token]


async def test_what_a_cancelled_attempt_brings_is_dropped(stage: Stage) -> None:
    await stage.submit("a")
    attempt = await stage.run("a")
    await stage.ledger.cancel("a", None, None)
    before = await stage.record("a")
    assert not await stage.succeed(attempt, '"late"')
    assert not await stage.retry(attempt)
    assert await stage.record("a") == before


async def test_the_error_of_an_earlier_attempt_stays(stage: Stage) -> None:
    await stage.into(State.RETRYING, "a")
    await stage.ledger.cancel("a", None, None)
    assert (await stage.record("a")).error == BOOM


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD, State.CANCELLED])
async def test_what_is_over_is_not_cancelled(stage: Stage, state: State) -> None:
    await stage.into(state, "a")
    before = await stage.entry("a")
    with pytest.raises(Refused) as refused:
        await stage.ledger.cancel("a", "ann", "too late")
    assert refused.value.state is state
    assert await stage.entry("a") == before


async def test_what_is_unknown_is_not_cancelled(stage: Stage) -> None:
    with pytest.raises(UnknownTask):
        await stage.ledger.cancel("nobody", None, None)


async def test_the_attempt_that_ends_so_was_not_lost_whatever_the_one_before_was(
    stage: Stage,
) -> None:
    await stage.submit("a", "b")
    for task_id in ("a", "b"):
        assert await stage.lose(await stage.run(task_id))
    await stage.run("a")
    for task_id in ("a", "b"):
        await stage.ledger.cancel(task_id, None, None)
    copies = [copy for _, copy in await stage.ledger.copies(0, 10)]
    assert [copy.alone for copy in copies] == [False, True]
