"""Counting: accepted = succeeded + dead + cancelled + outstanding, after every step."""

from __future__ import annotations

from tests.conformance.stage import LEASE, Stage, must_add_up
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Worker
from unlost.task import SECOND, State


async def test_an_empty_ledger_counts_nothing(ledger: Ledger) -> None:
    counts = await ledger.counts()
    assert counts.accepted == counts.settled == counts.position == 0
    assert counts.states == dict.fromkeys(State, 0)
    assert (counts.unhandled, counts.oldest_due) == ((), None)


async def test_the_counts_add_up_after_every_step(stage: Stage) -> None:
    ledger = stage.ledger

    async def expect(settled: int, **states: int) -> None:
        counts = await ledger.counts()
        assert {state.value: number for state, number in counts.states.items() if number} == states
        assert counts.settled == settled
        assert counts.accepted == sum(states.values())
        await must_add_up(ledger)

    await stage.submit(*"abcdef")
    await expect(0, queued=6)
    await stage.submit("a", "g")
    await expect(0, queued=7)
    a, b, c, d, e, f = await stage.claim(6)
    await expect(0, queued=1, running=6)
    await stage.succeed(a)
    await expect(1, queued=1, running=5, succeeded=1)
    await stage.succeed(a)
    await expect(1, queued=1, running=5, succeeded=1)
    await stage.retry(b, wait=60)
    await expect(1, queued=1, running=4, succeeded=1, retrying=1)
    await stage.die(c)
    await stage.die(d)
    await expect(3, queued=1, running=2, succeeded=1, retrying=1, dead=2)
    await stage.release(e)
    await expect(3, queued=2, running=1, succeeded=1, retrying=1, dead=2)
    await ledger.cancel(f.task_id, None, None)
    await expect(4, queued=2, succeeded=1, retrying=1, dead=2, cancelled=1)
    await ledger.cancel("b", None, None)
    await expect(5, queued=2, succeeded=1, dead=2, cancelled=2)
    await ledger.redrive("c", None, None)
    await expect(5, queued=3, succeeded=1, dead=1, cancelled=2)
    await ledger.discard("d", None, None)
    await expect(6, queued=3, succeeded=1, cancelled=3)
    await stage.die(await stage.run("c"))
    await ledger.redrive("c", None, None)
    await expect(7, queued=3, succeeded=1, cancelled=3)
    await ledger.purge(stage.clock.advance(1), 100)
    await expect(7, queued=3, succeeded=1, cancelled=3)


async def test_the_position_is_that_of_the_last_task(stage: Stage) -> None:
    await stage.submit("a", "b")
    await stage.submit("b", "c")
    counts = await stage.ledger.counts()
    entries = await stage.ledger.entries(0, 10)
    assert counts.position == entries[-1].position


async def test_types_that_wait_for_no_living_worker_are_named(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await stage.submit("b", type="sms")
    await stage.submit("c", type="later", delay=60)
    assert (await stage.ledger.counts()).unhandled == ("mail", "sms")
    await stage.ledger.enlist(Worker("w", ("mail", "fax")), LEASE)
    assert (await stage.ledger.counts()).unhandled == ("sms",)
    await stage.ledger.enlist(Worker("w2", None), LEASE)
    assert (await stage.ledger.counts()).unhandled == ()
    await stage.ledger.dismiss("w2")
    stage.clock.advance(30)
    assert (await stage.ledger.counts()).unhandled == ("mail", "sms")
    stage.clock.advance(30)
    assert (await stage.ledger.counts()).unhandled == ("later", "mail", "sms")


async def test_the_workers_that_are_alive_are_counted_without_those_that_run_alone_or_start(
    stage: Stage,
) -> None:
    await stage.ledger.enlist(Worker("w", ("mail",)), LEASE)
    await stage.ledger.enlist(Worker("starting", ()), 4 * LEASE)
    await stage.ledger.enlist(Worker("solo", None, alone=True), LEASE)
    stage.clock.advance(20)
    await stage.ledger.enlist(Worker("w2", None), LEASE)
    assert (await stage.ledger.counts()).workers == 2
    stage.clock.advance(20)
    assert (await stage.ledger.counts()).workers == 1
    await stage.ledger.dismiss("w2")
    assert (await stage.ledger.counts()).workers == 0


async def test_a_worker_without_types_takes_none(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await stage.ledger.enlist(Worker("w", ()), LEASE)
    assert (await stage.ledger.counts()).unhandled == ("mail",)


async def test_who_runs_alone_does_not_count_as_one_who_takes_a_type(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await stage.ledger.enlist(Worker("solo", None, alone=True), LEASE)
    assert (await stage.ledger.counts()).unhandled == ("mail",)


async def test_what_runs_or_is_over_waits_for_nobody(stage: Stage) -> None:
    for state in (State.RUNNING, State.SUCCEEDED, State.DEAD, State.CANCELLED):
        await stage.into(state, state.value)
    stage.clock.advance(3600)
    counts = await stage.ledger.counts()
    assert (counts.unhandled, counts.oldest_due) == ((), None)


async def test_oldest_due_is_since_when_a_task_waits(stage: Stage) -> None:
    due_at = stage.clock.now + 10 * SECOND
    await stage.submit("a", delay=10, priority=-5)
    assert (await stage.ledger.counts()).oldest_due is None
    stage.clock.advance(20)
    await stage.submit("b", priority=5)
    assert (await stage.ledger.counts()).oldest_due == due_at
    await stage.claim(1)
    assert (await stage.ledger.counts()).oldest_due == due_at
    await stage.claim(1)
    assert (await stage.ledger.counts()).oldest_due is None


async def test_a_ledger_answers_a_write(ledger: Ledger) -> None:
    await ledger.ping()
