"""Failures that were nobody's fault: they are kept, and spend no retry."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.conformance.stage import BOOM, Stage, excused, must_add_up, submission
from tests.conformance.test_redrives import ALL, begin
from unlost.ledger.values import Claimed, Settled, Settlement
from unlost.limits.breaker import Breaker, Phase
from unlost.limits.control import Change
from unlost.policy import WORKER_LOST, Backoff, Limits, timed_out
from unlost.task import SECOND, Attempt, Outcome, State
from unlost.worker.attempt import Ended, settlement, started

ALMOST_ONE = 1 - 2**-53
BREAKER = Breaker(share=0.5, window=60 * SECOND, minimum=2, pause=30 * SECOND, excuse=True)


ERRORS = {
    Outcome.FAILED: BOOM,
    Outcome.TIMED_OUT: timed_out(300.0),
    Outcome.LOST: WORKER_LOST,
}


def last_failure(attempt: Claimed, outcome: Outcome = Outcome.FAILED) -> Settlement:
    """The failure of which a task dies, but where its type's breaker excuses it."""
    end = Ended(outcome, ERRORS[outcome])
    return settlement(attempt, end, Backoff(5.0, 5.0), lambda _: ALMOST_ONE, max_excused=100)


async def spent(stage: Stage, task_id: str) -> tuple[int, int, int]:
    """Attempts spent and excused of this redrive's, and all that started."""
    entry = await stage.entry(task_id)
    return entry.spent, entry.record.excused_count, entry.record.attempt_count


async def marks(stage: Stage, task_id: str) -> list[bool]:
    return [attempt.excused for attempt in (await stage.record(task_id)).attempts]


async def test_an_excused_failure_is_kept_and_spends_no_retry(stage: Stage) -> None:
    await stage.submit("a", max_retries=0)
    first = await stage.run("a")
    assert (first.spent, first.excused) == (1, 0)
    end = excused(first, wait=60)
    assert await stage.ledger.settle([end]) == [Settled.HELD]
    record = await stage.record("a")
    now = stage.clock()
    assert record.state is State.RETRYING
    assert record.attempts == (
        Attempt(1, first.started_at, now, Outcome.FAILED, BOOM, now + 60 * SECOND, True),
    )
    assert await spent(stage, "a") == (0, 1, 1)
    stage.clock.advance(60)
    second = await stage.run("a")
    assert (second.number, second.spent, second.excused) == (2, 1, 1)
    told = started(second)
    assert (told.attempt, told.number) == (1, 2)
    (held,) = await stage.ledger.held("worker")
    assert (held.spent, held.excused) == (1, 1)
    await stage.succeed(second)
    assert await marks(stage, "a") == [True, False]
    assert await spent(stage, "a") == (1, 1, 2)
    await must_add_up(stage.ledger)


async def test_retries_losses_and_releases_leave_the_count_of_excused_ones(stage: Stage) -> None:
    await stage.submit("a")
    await stage.excuse(await stage.run("a"))
    await stage.retry(await stage.run("a"))
    await stage.release(await stage.run("a"))
    await stage.lose(await stage.run("a"))
    last = await stage.run("a")
    assert (last.spent, last.excused) == (3, 1)
    assert await marks(stage, "a") == [True, False, False, False, False]
    await must_add_up(stage.ledger)


@pytest.mark.parametrize("many", [False, True])
async def test_a_redrive_begins_the_count_again(stage: Stage, many: bool) -> None:
    await stage.submit("a")
    await stage.excuse(await stage.run("a"))
    await stage.die(await stage.run("a"))
    assert await spent(stage, "a") == (1, 1, 2)
    await must_add_up(stage.ledger)
    if many:
        await begin(stage, ALL)
    else:
        await stage.ledger.redrive("a", None, None)
    assert await spent(stage, "a") == (0, 0, 2)
    again = await stage.run("a")
    assert (again.spent, again.excused) == (1, 0)
    await stage.excuse(again)
    assert await spent(stage, "a") == (0, 1, 3)
    assert await marks(stage, "a") == [True, False, True]
    await must_add_up(stage.ledger)


async def test_a_cancel_keeps_the_marks(stage: Stage) -> None:
    await stage.submit("a")
    await stage.excuse(await stage.run("a"), wait=60)
    await stage.ledger.cancel("a", None, None)
    assert await marks(stage, "a") == [True]
    assert await spent(stage, "a") == (0, 1, 1)
    await must_add_up(stage.ledger)


# Breakers that excuse


async def running(stage: Stage, breaker: Breaker, *task_ids: str) -> list[Claimed]:
    await stage.ledger.change("mail", Change(breaker=breaker))
    await stage.submit(*task_ids, type="mail", max_retries=0)
    return await stage.claim(len(task_ids))


async def states(stage: Stage, *task_ids: str) -> list[State]:
    return [(await stage.record(task_id)).state for task_id in task_ids]


async def test_the_failure_that_opens_a_breaker_is_excused(stage: Stage) -> None:
    before, opens, after = await running(stage, BREAKER, "a", "b", "c")
    ends = [last_failure(before), last_failure(opens), last_failure(after)]
    assert await stage.ledger.settle(ends) == [Settled.HELD, Settled.EXCUSED, Settled.HELD]
    (control,) = await stage.ledger.controls()
    assert control.breaker == BREAKER
    assert control.phase(stage.clock()) is Phase.OPEN
    assert await states(stage, "a", "b", "c") == [State.DEAD, State.RETRYING, State.DEAD]
    assert await marks(stage, "b") == [True]
    assert await spent(stage, "b") == (0, 1, 1)
    record = await stage.record("b")
    assert record.due_at == stage.clock() + 5 * SECOND
    assert record.attempts[0].error == BOOM
    await must_add_up(stage.ledger)


async def test_an_attempt_that_timed_out_is_a_failure_like_any_to_a_breaker(stage: Stage) -> None:
    before, opens = await running(stage, BREAKER, "a", "b")
    ends = [last_failure(one, Outcome.TIMED_OUT) for one in (before, opens)]
    assert await stage.ledger.settle(ends) == [Settled.HELD, Settled.EXCUSED]
    stage.clock.advance(31)
    (probe,) = await stage.claim(9)
    ends = [last_failure(probe, Outcome.TIMED_OUT)]
    assert await stage.ledger.settle(ends) == [Settled.EXCUSED]
    assert await states(stage, "a", "b") == [State.DEAD, State.RETRYING]
    attempts = (await stage.record("b")).attempts
    assert [(one.outcome, one.excused) for one in attempts] == [(Outcome.TIMED_OUT, True)] * 2
    assert await spent(stage, "b") == (0, 2, 2)
    await must_add_up(stage.ledger)


async def test_each_in_a_call_of_its_own_as_well(stage: Stage) -> None:
    before, opens = await running(stage, BREAKER, "a", "b")
    assert await stage.ledger.settle([last_failure(before)]) == [Settled.HELD]
    assert await stage.ledger.settle([last_failure(opens)]) == [Settled.EXCUSED]
    await must_add_up(stage.ledger)


async def test_nobody_is_told_of_an_end_that_is_none(stage: Stage) -> None:
    before, opens = await running(stage, BREAKER, "a", "b")
    told = [replace(last_failure(one), follow=submission(f"told {one.task_id}", type="hook"))
            for one in (before, opens)]  # fmt: skip
    await stage.ledger.settle(told)
    assert await stage.ledger.get("told a") is not None
    assert await stage.ledger.get("told b") is None
    assert (await stage.ledger.counts()).accepted == 3


async def test_each_probe_that_fails_is_excused(stage: Stage) -> None:
    for attempt in await running(stage, BREAKER, "a", "b"):
        await stage.ledger.settle([last_failure(attempt)])
    for turn in (2, 3):
        stage.clock.advance(31)
        (probe,) = await stage.claim(9)
        assert (probe.task_id, probe.number) == ("b", turn)
        assert await stage.ledger.settle([last_failure(probe)]) == [Settled.EXCUSED]
    assert await marks(stage, "b") == [True] * 3
    assert await spent(stage, "b") == (0, 3, 3)
    stage.clock.advance(31)
    (probe,) = await stage.claim(9)
    await stage.succeed(probe)
    assert await states(stage, "b") == [State.SUCCEEDED]
    await must_add_up(stage.ledger)


async def test_what_may_not_be_excused_opens_it_and_counts(stage: Stage) -> None:
    first, second = await running(stage, BREAKER, "a", "b")
    await stage.die(first)
    lost = last_failure(second, Outcome.LOST)
    assert await stage.ledger.settle([lost]) == [Settled.HELD]
    assert await states(stage, "a", "b") == [State.DEAD, State.DEAD]
    assert await marks(stage, "b") == [False]


async def test_a_breaker_that_is_not_asked_to_excuses_nothing(stage: Stage) -> None:
    ends = [
        last_failure(one) for one in await running(stage, replace(BREAKER, excuse=False), "a", "b")
    ]
    assert await stage.ledger.settle(ends) == [Settled.HELD] * 2
    assert await states(stage, "a", "b") == [State.DEAD, State.DEAD]


async def test_a_failure_is_excused_though_more_was_spent_than_is_allowed_by_now(
    stage: Stage,
) -> None:
    await stage.submit("a")
    for _ in range(3):
        (attempt,) = await stage.claim(limits=Limits(5, 60.0))
        await stage.retry(attempt)
    (attempt,) = await stage.claim(limits=Limits(0, 60.0))
    assert await stage.excuse(attempt)
    assert await spent(stage, "a") == (3, 1, 4)
    await must_add_up(stage.ledger)
