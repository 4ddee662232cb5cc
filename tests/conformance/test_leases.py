"""Leases: who is alive, what the dead held, and who runs alone after that."""

from __future__ import annotations

from tests.conformance.stage import LEASE, Stage
from unlost.ledger.values import Claim, Held, Worker
from unlost.policy import WORKER_LOST, Limits
from unlost.task import SECOND, Event, Outcome


def names(held: list[Held]) -> list[str]:
    return sorted(item.task_id for item in held)


async def claim_one(stage: Stage, worker: str, lease: int) -> None:
    await stage.ledger.enlist(Worker(worker), lease)
    await stage.ledger.claim(Claim(worker, stage.tokens(1), None, Limits(2, 60.0)))


async def test_what_a_dead_worker_held_is_found_once_its_lease_is_over(stage: Stage) -> None:
    await stage.submit("a", "b")
    await claim_one(stage, "short", 10 * SECOND)
    await claim_one(stage, "long", 60 * SECOND)
    stage.clock.advance(9.999999)
    assert await stage.ledger.held(None) == []
    stage.clock.advance(0.000001)
    assert names(await stage.ledger.held(None)) == ["a"]
    stage.clock.advance(60)
    assert names(await stage.ledger.held(None)) == ["a", "b"]


async def test_a_heartbeat_keeps_a_lease(stage: Stage) -> None:
    await stage.submit("a")
    await claim_one(stage, "w", 10 * SECOND)
    stage.clock.advance(9)
    assert await stage.ledger.extend(["w", "stranger"], 10 * SECOND) == {"w"}
    stage.clock.advance(9)
    assert await stage.ledger.held(None) == []
    stage.clock.advance(1)
    assert names(await stage.ledger.held(None)) == ["a"]


async def test_a_dismissed_worker_gets_no_lease_back(stage: Stage) -> None:
    await stage.ledger.enlist(Worker("w"), LEASE)
    await stage.ledger.dismiss("w")
    assert await stage.ledger.extend(["w"], LEASE) == set()


async def test_what_a_dismissed_worker_held_is_found_at_once(stage: Stage) -> None:
    await stage.submit("a")
    await claim_one(stage, "w", LEASE)
    await stage.ledger.dismiss("w")
    assert names(await stage.ledger.held(None)) == ["a"]
    assert names(await stage.ledger.held("w")) == ["a"]


async def test_only_an_expired_and_empty_worker_is_dismissed_as_expired(stage: Stage) -> None:
    await stage.submit("a")
    await claim_one(stage, "w", 10 * SECOND)
    await stage.ledger.dismiss("w", expired=True)
    assert await stage.ledger.extend(["w"], 10 * SECOND) == {"w"}
    stage.clock.advance(10)
    await stage.ledger.dismiss("w", expired=True)
    assert await stage.ledger.extend(["w"], 10 * SECOND) == {"w"}
    (held,) = await stage.ledger.held("w")
    await stage.ledger.cancel(held.task_id, None, None)
    stage.clock.advance(10)
    await stage.ledger.dismiss("w", expired=True)
    assert await stage.ledger.extend(["w"], 10 * SECOND) == set()


async def test_one_that_enlists_strikes_idle_workers_off_once_they_missed_two_leases(
    stage: Stage,
) -> None:
    await stage.ledger.enlist(Worker("w"), LEASE)
    stage.clock.advance(2 * LEASE / SECOND - 0.000001)
    await stage.ledger.enlist(Worker("after the outage"), LEASE)
    assert await stage.ledger.extend(["w"], LEASE) == {"w"}
    stage.clock.advance(2 * LEASE / SECOND)
    await stage.ledger.enlist(Worker("much later"), LEASE)
    assert await stage.ledger.extend(["w"], LEASE) == set()


async def test_to_dismiss_a_stranger_is_no_error(stage: Stage) -> None:
    await stage.ledger.dismiss("stranger")
    await stage.ledger.dismiss("stranger", expired=True)


async def test_what_is_held_carries_what_is_needed_to_settle_it(stage: Stage) -> None:
    await stage.submit("a", type="mail", max_retries=1, timeout=20)
    await stage.retry(await stage.run("a"))
    (attempt,) = await stage.claim(worker="w")
    assert await stage.ledger.held("w") == [
        Held("a", attempt.token, "w", 2, 1, 20.0, attempt.deadline - stage.clock(), "mail", 2)
    ]


async def test_a_lost_attempt_is_counted(stage: Stage) -> None:
    await stage.submit("a")
    await stage.lose(await stage.run("a"))
    record = await stage.record("a")
    assert record.attempt_count == 1
    assert record.attempts[0].outcome is Outcome.LOST
    assert record.error is not None
    assert record.error.type == "WorkerLost"


async def test_after_a_lost_attempt_the_next_one_runs_alone(stage: Stage) -> None:
    await stage.submit("a", "b")
    lost, _ = await stage.claim(2)
    await stage.lose(lost)
    assert await stage.claim(5) == []
    (attempt,) = await stage.claim(5, worker="solo", alone=True)
    assert attempt.task_id == "a"


async def test_who_runs_alone_takes_nothing_else(stage: Stage) -> None:
    await stage.submit("a")
    assert await stage.claim(5, worker="solo", alone=True) == []


async def test_who_runs_alone_keeps_to_its_types_and_to_what_is_due(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await stage.submit("b", type="sms")
    for attempt in await stage.claim(2):
        await stage.lose(attempt, wait=5)
    assert await stage.claim(5, worker="solo", types=("sms",), alone=True) == []
    assert await stage.ledger.due_in(["sms"], alone=True) == 5 * SECOND
    assert await stage.ledger.due_in(["fax"], alone=True) is None
    assert await stage.ledger.due_in(None) is None
    stage.clock.advance(5)
    (attempt,) = await stage.claim(5, worker="solo", types=("sms",), alone=True)
    assert attempt.task_id == "b"


async def test_after_another_failure_a_task_runs_among_others_again(stage: Stage) -> None:
    await stage.submit("a")
    await stage.lose(await stage.run("a"))
    (alone,) = await stage.claim(worker="solo", alone=True)
    await stage.retry(alone)
    (attempt,) = await stage.claim()
    assert attempt.task_id == "a"


async def test_lost_alone_runs_alone_again(stage: Stage) -> None:
    await stage.submit("a")
    await stage.lose(await stage.run("a"))
    (alone,) = await stage.claim(worker="solo", alone=True)
    await stage.lose(alone)
    assert await stage.claim() == []
    assert await stage.claim(worker="solo", alone=True) != []


async def test_a_release_leaves_open_that_the_next_one_runs_alone(stage: Stage) -> None:
    await stage.submit("a", "b")
    lost, released = await stage.claim(2)
    await stage.release(released)
    await stage.lose(lost)
    (alone,) = await stage.claim(worker="solo", alone=True)
    await stage.release(alone)
    assert [attempt.task_id for attempt in await stage.claim(5)] == ["b"]
    assert [item.task_id for item in await stage.claim(5, worker="solo", alone=True)] == ["a"]


async def test_a_redriven_task_whose_last_attempt_was_lost_runs_alone(stage: Stage) -> None:
    await stage.submit("lost", "failed")
    for attempt in await stage.claim(2):
        outcome = Outcome.LOST if attempt.task_id == "lost" else Outcome.FAILED
        await stage.settle(attempt, outcome, Event.DIE, error=WORKER_LOST)
    await stage.ledger.redrive("lost", None, None)
    await stage.ledger.redrive("failed", None, None)
    assert [item.task_id for item in await stage.claim(5)] == ["failed"]
    assert [item.task_id for item in await stage.claim(5, worker="solo", alone=True)] == ["lost"]
