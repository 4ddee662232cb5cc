"""Purging: age takes payload, result and attempts of what is over, never a dead letter."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.conformance.stage import Stage
from unlost.ledger.values import NewStep, Query
from unlost.task import Event, State


async def test_a_purge_removes_what_is_big_and_keeps_the_rest(stage: Stage) -> None:
    await stage.submit("a", payload='{"n": 1}', type="mail", priority=3)
    await stage.retry(await stage.run("a"))
    await stage.succeed(await stage.run("a"), '"done"')
    before = await stage.record("a")
    now = stage.clock.advance(60)
    assert await stage.ledger.purge(now, 100) == 1
    assert await stage.record("a") == replace(
        before, payload=None, result=None, error=None, attempts=(), history=(), purged_at=now
    )


async def test_a_purge_takes_steps(stage: Stage) -> None:
    await stage.submit("a")
    for end, forget in ((stage.die, ("mail",)), (stage.succeed, None)):
        attempt = await stage.run("a")
        for name in ("charge", "mail"):
            await stage.ledger.record_step(NewStep("a", attempt.token, name, '"done"'))
        await end(attempt)
        if forget:
            await stage.ledger.redrive("a", None, None, forget=forget)
    assert [step.attempt for step in (await stage.entry("a")).steps] == [1, 2]
    await stage.ledger.reported([one.id for one in await stage.ledger.claim_reports(10, 1)])
    assert await stage.ledger.purge(stage.clock.advance(60), 100) == 1
    assert await stage.ledger.steps_of("a", results=True) == []
    entry = await stage.entry("a")
    assert (entry.steps, entry.forgotten) == ((), {})


async def test_only_what_succeeded_or_was_cancelled_is_purged(stage: Stage) -> None:
    for state in State:
        await stage.into(state, state.value)
    before = {state: await stage.entry(state.value) for state in State}
    assert await stage.ledger.purge(stage.clock.advance(60), 100) == 2
    for state in State:
        purged = (await stage.record(state.value)).purged_at is not None
        assert purged is (state in {State.SUCCEEDED, State.CANCELLED})
        if not purged:
            assert await stage.entry(state.value) == before[state]


async def test_only_what_is_older_is_purged(stage: Stage) -> None:
    await stage.into(State.SUCCEEDED, "old")
    settled_at = stage.clock.now
    stage.clock.advance(1)
    await stage.into(State.SUCCEEDED, "new")
    assert await stage.ledger.purge(settled_at, 100) == 0
    assert await stage.ledger.purge(settled_at + 1, 100) == 1
    assert (await stage.record("new")).purged_at is None


async def test_a_purge_goes_in_batches_and_purges_once(stage: Stage) -> None:
    for number in range(5):
        await stage.into(State.SUCCEEDED, f"t{number}")
    now = stage.clock.advance(60)
    assert [await stage.ledger.purge(now, 2) for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.CANCELLED])
async def test_a_replay_of_a_purged_task_is_still_told(stage: Stage, state: State) -> None:
    await stage.into(state, "a")
    await stage.ledger.purge(stage.clock.advance(60), 100)
    (same,) = await stage.submit("a")
    (other,) = await stage.submit("a", payload='{"n": 2}')
    assert (same.verdict, other.verdict) == ("replayed", "conflict")


async def test_the_sums_and_the_lists_hold_after_a_purge(stage: Stage) -> None:
    await stage.into(State.SUCCEEDED, "a")
    await stage.into(State.CANCELLED, "b")
    before = await stage.ledger.counts()
    await stage.ledger.purge(stage.clock.advance(60), 100)
    after = await stage.ledger.counts()
    assert (after.accepted, after.states) == (before.accepted, before.states)
    assert await stage.walk(Query()) == ["b", "a"]


async def test_a_discarded_dead_letter_that_was_reported_is_purged(stage: Stage) -> None:
    await stage.bury("a", payload='{"n": 1}')
    await stage.ledger.redrive("a", None, None, '{"n": 2}')
    await stage.die(await stage.run("a"))
    await stage.ledger.discard("a", None, None)
    reports = await stage.ledger.claim_reports(10, 1)
    await stage.ledger.reported([report.id for report in reports])
    assert await stage.ledger.purge(stage.clock.advance(60), 100) == 1
    record = await stage.record("a")
    assert record.payload is None
    assert [act.event for act in record.history] == [Event.REDRIVE, Event.DISCARD]
    assert record.redrive_count == 1


async def test_a_purge_of_nothing_is_no_error(stage: Stage) -> None:
    assert await stage.ledger.purge(stage.clock.now, 100) == 0
