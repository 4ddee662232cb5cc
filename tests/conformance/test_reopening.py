"""A store outlasts its ledger objects, and several may use one store."""

from __future__ import annotations

from tests.conformance.stage import Stage, must_add_up
from unlost.ledger.values import Query
from unlost.task import State


async def test_everything_outlasts_a_reopening(stage: Stage) -> None:
    for state in State:
        await stage.into(state, state.value)
    await stage.bury("again", payload='{"n": 1}')
    await stage.ledger.redrive("again", "ann", "edited", '{"n": 2}')
    await stage.into(State.SUCCEEDED, "purged")
    await stage.ledger.purge(stage.clock.advance(1), 100)
    entries = await stage.ledger.entries(0, 100)
    records = [await stage.record(entry.record.task_id) for entry in entries]
    counts, groups = await stage.ledger.counts(), await stage.ledger.groups()
    held = await stage.ledger.held("worker")
    await stage.reopen()
    assert await stage.ledger.entries(0, 100) == entries
    assert [await stage.record(record.task_id) for record in records] == records
    assert await stage.ledger.counts() == counts
    assert await stage.ledger.groups() == groups
    assert await stage.ledger.held("worker") == held


async def test_an_attempt_is_settled_after_a_reopening(stage: Stage) -> None:
    await stage.submit("a")
    attempt = await stage.run("a")
    await stage.reopen()
    assert await stage.succeed(attempt)


async def test_a_cursor_goes_on_after_a_reopening(stage: Stage) -> None:
    await stage.submit("a", "b", "c")
    page = await stage.ledger.page(Query(limit=1))
    await stage.reopen()
    rest = await stage.walk(Query(limit=1, cursor=page.next_cursor))
    assert rest == ["b", "a"]


async def test_two_ledgers_on_one_store_see_one_truth(stage: Stage) -> None:
    other = await stage.another()
    await stage.submit("a", "b")
    assert (await other.counts()).accepted == 2
    attempt = await stage.run("a")
    record = await other.get("a")
    assert record is not None
    assert record.state is State.RUNNING
    await other.cancel("b", None, None)
    assert (await stage.record("b")).state is State.CANCELLED
    await stage.die(attempt)
    await other.redrive("a", None, None)
    assert (await stage.record("a")).state is State.QUEUED
    await must_add_up(other)


async def test_closing_twice_is_safe(stage: Stage) -> None:
    other = await stage.another()
    await other.close()
    await other.close()
