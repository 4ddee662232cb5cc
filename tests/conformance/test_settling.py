"""Settling: at least once run, exactly once settled."""

from __future__ import annotations

import asyncio

from tests.conformance.stage import BOOM, OTHER, Stage, ended
from unlost import policy
from unlost.ledger.values import Settled, Settlement
from unlost.task import SECOND, Attempt, Event, Outcome, State


async def test_success_ends_the_task_and_keeps_its_result(stage: Stage) -> None:
    await stage.submit("a")
    started_at = stage.clock.now
    attempt = await stage.run("a")
    now = stage.clock.advance(2)
    assert await stage.succeed(attempt, '{"sent": true}')
    record = await stage.record("a")
    assert record.state is State.SUCCEEDED
    assert record.result == '{"sent": true}'
    assert record.attempts == (Attempt(1, started_at, now, Outcome.SUCCEEDED),)
    assert record.updated_at == now
    assert record.due_at is None
    entry = await stage.entry("a")
    assert (entry.token, entry.worker, entry.claimable) == (None, None, False)


async def test_success_needs_no_result(stage: Stage) -> None:
    await stage.submit("a")
    await stage.succeed(await stage.run("a"))
    assert (await stage.record("a")).result is None


async def test_a_retry_waits_from_the_end_of_the_attempt(stage: Stage) -> None:
    await stage.submit("a")
    started_at = stage.clock.now
    attempt = await stage.run("a")
    now = stage.clock.advance(2)
    assert await stage.retry(attempt, wait=0.75, error=BOOM)
    record = await stage.record("a")
    due_at = now + round(0.75 * SECOND)
    assert record.state is State.RETRYING
    assert record.due_at == due_at
    assert record.attempts == (Attempt(1, started_at, now, Outcome.FAILED, BOOM, due_at),)
    assert record.error == BOOM
    assert (await stage.entry("a")).claimable


async def test_death_says_why(stage: Stage) -> None:
    await stage.submit("a")
    await stage.retry(await stage.run("a"), error=OTHER)
    assert await stage.die(await stage.run("a"), BOOM)
    entry = await stage.entry("a")
    assert entry.record.state is State.DEAD
    assert entry.record.error == BOOM
    assert [attempt.error for attempt in entry.record.attempts] == [OTHER, BOOM]
    assert entry.dead_letter == BOOM.fingerprint
    assert entry.record.due_at is None


async def test_a_timed_out_attempt_is_recorded_as_such(stage: Stage) -> None:
    await stage.submit("a")
    error = policy.timed_out(60)
    await stage.settle(await stage.run("a"), Outcome.TIMED_OUT, Event.RETRY, error=error)
    (attempt,) = (await stage.record("a")).attempts
    assert (attempt.outcome, attempt.error) == (Outcome.TIMED_OUT, error)


async def test_attempts_are_numbered_and_all_kept(stage: Stage) -> None:
    await stage.submit("a", max_retries=4)
    for _ in range(4):
        await stage.retry(await stage.run("a"))
    await stage.succeed(await stage.run("a"))
    record = await stage.record("a")
    assert [attempt.number for attempt in record.attempts] == [1, 2, 3, 4, 5]
    assert record.attempt_count == 5


async def test_the_last_error_stays_when_a_later_attempt_succeeds(stage: Stage) -> None:
    await stage.submit("a")
    await stage.retry(await stage.run("a"), error=BOOM)
    await stage.succeed(await stage.run("a"))
    assert (await stage.record("a")).error == BOOM


async def test_a_token_settles_once(stage: Stage) -> None:
    await stage.submit("a")
    attempt = await stage.run("a")
    assert await stage.succeed(attempt, '"first"')
    before = await stage.entry("a")
    assert not await stage.succeed(attempt, '"second"')
    assert not await stage.die(attempt)
    assert await stage.entry("a") == before


async def test_a_token_settles_once_within_one_batch(stage: Stage) -> None:
    await stage.submit("a")
    attempt = await stage.run("a")
    answers = await stage.ledger.settle(
        [
            ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED, result='"first"'),
            ended(attempt, Outcome.FAILED, Event.DIE, error=BOOM),
        ]
    )
    assert answers == [Settled.HELD, Settled.REFUSED]
    assert (await stage.record("a")).result == '"first"'


async def test_concurrent_settlements_of_one_attempt_hold_once(stage: Stage) -> None:
    await stage.submit("a")
    attempt = await stage.run("a")
    other = await stage.another()
    settlement = ended(attempt, Outcome.FAILED, Event.DIE, error=BOOM)
    homes = [stage.ledger, other] * 5
    answers = await asyncio.gather(*(home.settle([settlement]) for home in homes))
    assert sorted(answers) == [[Settled.REFUSED]] * 9 + [[Settled.HELD]]
    assert len((await stage.record("a")).attempts) == 1


async def test_a_zombies_token_settles_nothing(stage: Stage) -> None:
    await stage.submit("a")
    zombie = await stage.run("a")
    await stage.lose(zombie)
    current = await stage.run("a")
    before = await stage.entry("a")
    assert not await stage.succeed(zombie)
    assert await stage.entry("a") == before
    assert await stage.succeed(current)


async def test_a_token_settles_only_its_own_task(stage: Stage) -> None:
    await stage.submit("a", "b")
    first, _second = await stage.claim(2)
    foreign = Settlement("b", first.token, Outcome.SUCCEEDED, Event.SUCCEED)
    unknown = Settlement("nobody", first.token, Outcome.SUCCEEDED, Event.SUCCEED)
    assert await stage.ledger.settle([foreign, unknown]) == [Settled.REFUSED, Settled.REFUSED]
    assert (await stage.record("b")).state is State.RUNNING
    assert (await stage.record("a")).state is State.RUNNING


async def test_a_batch_of_settlements_holds_one_by_one(stage: Stage) -> None:
    await stage.submit("a", "b", "c")
    one, two, three = await stage.claim(3)
    await stage.ledger.cancel("b", None, None)
    answers = await stage.ledger.settle(
        [
            ended(one, Outcome.SUCCEEDED, Event.SUCCEED),
            ended(two, Outcome.SUCCEEDED, Event.SUCCEED),
            ended(three, Outcome.FAILED, Event.RETRY, wait=1, error=BOOM),
        ]
    )
    assert answers == [Settled.HELD, Settled.REFUSED, Settled.HELD]
    states = [(await stage.record(task_id)).state for task_id in "abc"]
    assert states == [State.SUCCEEDED, State.CANCELLED, State.RETRYING]


async def test_an_attempt_may_outlive_its_workers_lease_while_nobody_reaps_it(
    stage: Stage,
) -> None:
    await stage.submit("a")
    attempt = await stage.run("a")
    stage.clock.advance(3600)
    assert await stage.succeed(attempt)


async def test_a_release_costs_nothing(stage: Stage) -> None:
    await stage.submit("a")
    attempt = await stage.run("a")
    now = stage.clock.advance(3)
    assert await stage.release(attempt)
    entry = await stage.entry("a")
    assert entry.record.state is State.QUEUED
    assert entry.record.due_at == now
    assert entry.record.attempt_count == entry.spent == 0
    assert entry.record.error is None
    (released,) = entry.record.attempts
    assert (released.outcome, released.next_attempt_at) == (Outcome.RELEASED, None)
    again = await stage.run("a")
    assert (again.number, again.spent) == (2, 1)


async def test_a_release_may_wait(stage: Stage) -> None:
    await stage.submit("a")
    attempt = await stage.run("a")
    now = stage.clock.advance(3)
    assert await stage.settle(attempt, Outcome.RELEASED, Event.RELEASE, wait=60)
    record = await stage.record("a")
    assert (record.state, record.due_at) == (State.QUEUED, now + 60 * SECOND)
    assert record.attempts[0].next_attempt_at is None
    stage.clock.advance(59)
    assert await stage.claim(1) == []
    stage.clock.advance(1)
    assert (await stage.run("a")).spent == 1


async def test_a_release_after_a_failure_keeps_what_was_spent(stage: Stage) -> None:
    await stage.submit("a")
    await stage.retry(await stage.run("a"))
    await stage.release(await stage.run("a"))
    entry = await stage.entry("a")
    assert entry.record.attempt_count == entry.spent == 1
    assert entry.record.error == BOOM


async def test_an_attempt_never_ends_before_it_started(stage: Stage) -> None:
    await stage.submit("a", "b")
    first, _second = await stage.claim(2)
    stage.clock.advance(-60)
    await stage.retry(first, wait=1)
    await stage.ledger.cancel("b", None, None)
    (failed,) = (await stage.record("a")).attempts
    (cancelled,) = (await stage.record("b")).attempts
    assert failed.finished_at is not None
    assert failed.finished_at >= failed.started_at
    assert failed.next_attempt_at == failed.finished_at + SECOND
    assert cancelled.finished_at is not None
    assert cancelled.finished_at >= cancelled.started_at


async def test_dropped_names_the_tokens_that_no_longer_run(stage: Stage) -> None:
    await stage.submit("a", "b", "c", "d")
    runs, done, cancelled, lost = await stage.claim(4)
    await stage.succeed(done)
    await stage.ledger.cancel("c", None, None)
    await stage.lose(lost)
    again = await stage.run("d")
    tokens = {attempt.token: attempt.task_id for attempt in (runs, done, cancelled, lost, again)}
    dropped = await stage.ledger.dropped(tokens | {"unknown": "nobody"})
    assert sorted(dropped) == sorted([done.token, cancelled.token, lost.token, "unknown"])


async def test_dropped_of_nothing_is_nothing(stage: Stage) -> None:
    assert await stage.ledger.dropped({}) == []
