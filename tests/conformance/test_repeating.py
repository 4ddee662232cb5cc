"""A call that comes again, because its answer was lost, has done once what it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from tests.conformance.stage import Stage, must_add_up
from unlost.ledger.calls import call
from unlost.ledger.protocol import AnotherCall, Refused, Repeated, UnknownTask
from unlost.task import Event, State

ONE = call("one", b"to redrive it")
OTHERWISE = call("one", b"to redrive it with a payload")
TWO = call("two", b"to redrive it")


async def acts(stage: Stage, task_id: str) -> list[tuple[Event, str | None]]:
    return [(act.event, act.call) for act in (await stage.record(task_id)).history]


async def test_the_same_redrive_again_does_nothing_whatever_became_of_the_task(
    stage: Stage,
) -> None:
    await stage.bury("a")
    await stage.ledger.redrive("a", "ann", None, call=ONE)
    for _ in range(2):
        with pytest.raises(Repeated):
            await stage.ledger.redrive("a", "ann", None, call=ONE)
    await stage.die(await stage.run("a"))
    with pytest.raises(Repeated):
        await stage.ledger.redrive("a", "ann", None, call=ONE)
    record = await stage.record("a")
    assert (record.state, record.redrive_count) == (State.DEAD, 1)
    await stage.ledger.redrive("a", "ann", None, call=TWO)
    await stage.succeed(await stage.run("a"))
    for known in (ONE, TWO):
        with pytest.raises(Repeated):
            await stage.ledger.redrive("a", "ann", None, call=known)
    with pytest.raises(Refused):
        await stage.ledger.redrive("a", "ann", None, call=call("three", b"to redrive it"))
    assert await acts(stage, "a") == [(Event.REDRIVE, ONE), (Event.REDRIVE, TWO)]


async def test_a_refusal_that_somebody_keeps_hinders_nobody_to_write(stage: Stage) -> None:
    """Its traceback keeps what its frames held: no query that was not read to its end may be there,
    or this ledger could not write any more once another process has."""
    await stage.bury("a")
    await stage.ledger.redrive("a", "ann", None, call=ONE)
    with pytest.raises(Repeated) as repeated:
        await stage.ledger.redrive("a", "ann", None, call=ONE)
    with pytest.raises(AnotherCall) as another:
        await stage.ledger.redrive("a", "ann", None, '{"n": 2}', call=OTHERWISE)
    with pytest.raises(UnknownTask) as unknown:
        await stage.ledger.redrive("b", "ann", None, call=ONE)
    elsewhere = await stage.another()
    await elsewhere.cancel("a", None, None)
    await stage.submit("c")
    assert (await stage.record("c")).state is State.QUEUED
    del repeated, another, unknown


async def test_an_id_that_another_call_has_does_nothing(stage: Stage) -> None:
    await stage.bury("a", payload='{"n": 1}')
    await stage.ledger.redrive("a", None, None, call=ONE)
    with pytest.raises(AnotherCall):
        await stage.ledger.redrive("a", None, None, '{"n": 2}', call=OTHERWISE)
    await stage.die(await stage.run("a"))
    with pytest.raises(AnotherCall):
        await stage.ledger.redrive("a", None, None, '{"n": 2}', call=OTHERWISE)
    with pytest.raises(AnotherCall):
        await stage.ledger.discard("a", None, None, call=call("one", b"to discard it"))
    record = await stage.record("a")
    assert (record.state, record.payload, record.redrive_count) == (State.DEAD, '{"n": 1}', 1)
    await must_add_up(stage.ledger)


async def test_a_discard_again_does_nothing(stage: Stage) -> None:
    await stage.bury("a")
    await stage.ledger.discard("a", None, "old", call=ONE)
    with pytest.raises(Repeated):
        await stage.ledger.discard("a", None, "old", call=ONE)
    with pytest.raises(Refused):
        await stage.ledger.discard("a", None, "old", call=TWO)
    assert await acts(stage, "a") == [(Event.DISCARD, ONE)]


async def test_an_id_is_the_tasks(stage: Stage) -> None:
    await stage.bury("a", "b")
    await stage.ledger.redrive("a", None, None, call=ONE)
    await stage.ledger.redrive("b", None, None, call=OTHERWISE)
    assert await acts(stage, "b") == [(Event.REDRIVE, OTHERWISE)]


async def test_of_calls_that_come_at_once_one_is_done(stage: Stage) -> None:
    await stage.bury("a")
    ledgers = (stage.ledger, await stage.another()) * 3

    async def came(step: Awaitable[None]) -> str:
        try:
            await step
        except Repeated:
            return "repeated"
        return "done"

    calls = [ledger.redrive("a", None, None, call=ONE) for ledger in ledgers]
    found = await asyncio.gather(*map(came, calls))
    assert sorted(found) == ["done", *["repeated"] * 5]
    assert (await stage.record("a")).redrive_count == 1
