"""What decides whether a task can start: every home tells the same of it, at one moment."""

from __future__ import annotations

from tests.conformance.stage import BOOM, LEASE, Stage
from unlost.ledger.values import Worker
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change
from unlost.limits.why import Alive, Facts, Reason, Taken, bars, why
from unlost.task import SECOND, State


async def facts(stage: Stage, task_id: str) -> Facts:
    return (await stage.ledger.facts([task_id]))[task_id]


async def reason(stage: Stage, task_id: str) -> Reason:
    return why(await facts(stage, task_id)).reason


async def enlist(stage: Stage, name: str = "worker", **more: object) -> None:
    worker = Worker(name, more.pop("types", None), slots=1, **more)  # type: ignore[arg-type]
    await stage.ledger.enlist(worker, LEASE)


async def test_what_is_not_there_has_no_facts(stage: Stage) -> None:
    await stage.submit("a")
    assert set(await stage.ledger.facts(["a", "nobody", "a"])) == {"a"}
    assert await stage.ledger.facts([]) == {}


async def test_what_runs_or_has_ended_says_so(stage: Stage) -> None:
    for state in State:
        await stage.into(state, state)
    asked = await stage.ledger.facts([*State])
    found = {one.record.state: why(one).reason for one in asked.values()}
    ended = dict.fromkeys((State.SUCCEEDED, State.DEAD, State.CANCELLED), Reason.ENDED)
    assert found == {
        State.QUEUED: Reason.WORKERS_BUSY, State.RUNNING: Reason.RUNNING,
        State.RETRYING: Reason.BACKOFF, **ended,
    }  # fmt: skip


async def test_what_is_not_due_says_when_it_is(stage: Stage) -> None:
    await stage.submit("a", delay=30)
    told = why(await facts(stage, "a"))
    assert (told.reason, told.until) == (Reason.DUE_AT, stage.clock.now + 30 * SECOND)
    stage.clock.advance(30)
    await enlist(stage)
    assert await reason(stage, "a") is Reason.WORKERS_BUSY


async def test_what_a_rate_holds_back_too_is_told_beneath_a_pause_and_an_open_breaker(
    stage: Stage,
) -> None:
    await enlist(stage)
    breaker = Breaker(minimum=1, pause=5 * SECOND)
    await stage.ledger.change("mail", Change(rate=0.01, breaker=breaker))
    await stage.submit("a", "b", type="mail", key="ann")
    (attempt,) = await stage.claim()
    (waiting,) = {"a", "b"} - {attempt.task_id}
    assert bars(await facts(stage, waiting)) == [Reason.TYPE_RATE]
    await stage.ledger.pause("mail", None, None)
    assert bars(await facts(stage, waiting)) == [Reason.TYPE_PAUSED, Reason.TYPE_RATE]
    await stage.ledger.resume("mail")
    await stage.die(attempt)
    assert bars(await facts(stage, waiting)) == [Reason.BREAKER_OPEN, Reason.TYPE_RATE]


async def test_a_paused_type_says_who_has_paused_it(stage: Stage) -> None:
    await enlist(stage)
    await stage.submit("a", type="mail")
    await stage.ledger.pause("mail", "ann", "down")
    told = why(await facts(stage, "a"))
    assert (told.reason, told.detail) == (Reason.TYPE_PAUSED, "Its type is paused, by ann: down.")


async def test_who_serves_a_type_is_known_as_long_as_the_lease_holds(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await enlist(stage, types=("other",))
    await enlist(stage, "solo", alone=True)
    assert await reason(stage, "a") is Reason.NO_WORKER
    await enlist(stage, types=("mail",))
    assert await reason(stage, "a") is Reason.WORKERS_BUSY
    stage.clock.advance(LEASE / SECOND + 1)
    assert await reason(stage, "a") is Reason.NO_WORKER


async def test_slots_are_known_and_kept_while_a_worker_is_said_to_start(stage: Stage) -> None:
    await stage.ledger.enlist(Worker("worker", ("mail",), slots=3), LEASE)
    await stage.ledger.enlist(Worker("worker", ()), LEASE)
    await stage.ledger.enlist(Worker("older", None), LEASE)
    await stage.submit("a", type="mail")
    known = (await facts(stage, "a")).workers
    assert known == (Alive(None), Alive(("mail",), slots=3))


async def test_a_full_worker_is_busy_and_what_is_before_is_counted(stage: Stage) -> None:
    await stage.submit("a")
    await stage.claim(1)
    await enlist(stage)
    await stage.submit("low", priority=-1)
    stage.clock.advance(1)
    await stage.submit("b", "c")
    await stage.submit("high", priority=1)
    await stage.submit("later", delay=9, priority=1)
    await stage.submit("other", type="other")
    told = [(await facts(stage, name)).before for name in ("high", "b", "c", "low", "other")]
    assert told == [0, 1, 2, 3, 0]
    assert (await facts(stage, "b")).workers == (Alive(None, slots=1, running=1),)
    assert why(await facts(stage, "low")).detail == (
        "No slot is free, of 1 that the workers for its type have. At least 3 tasks are before it."
    )


async def test_it_looks_at_no_more_than_it_is_told_to(stage: Stage) -> None:
    await stage.submit("a", "b", "c", "d", "e")
    found = [(await stage.ledger.facts(["e"], most))["e"].before for most in (0, 2, 9)]
    assert found[0] == 0
    assert found[1] <= 2
    assert found[2] == 4


async def test_a_full_type_and_a_full_key_say_how_many_run(stage: Stage) -> None:
    await enlist(stage)
    await stage.ledger.change("mail", Change(limit=2, key_limit=1))
    await stage.submit("a", "b", type="mail", key="ann")
    await stage.claim(5)
    told = await facts(stage, "b")
    assert (told.taken, why(told).reason) == (Taken(1, 1), Reason.KEY_LIMIT)
    await stage.submit("c", "d", "e", type="mail", key="bob")
    await stage.claim(5)
    told = await facts(stage, "d")
    assert (told.taken, why(told).reason) == (Taken(2, 1), Reason.TYPE_LIMIT)
    assert bars(told)[:2] == [Reason.TYPE_LIMIT, Reason.KEY_LIMIT]
    assert [(await facts(stage, name)).before for name in ("b", "d", "e")] == [0, 0, 1]


async def test_an_open_breaker_says_until_when_and_half_open_that_it_tries(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(breaker=Breaker(minimum=1, pause=30 * SECOND)))
    await stage.submit("a", "b", type="mail")
    (attempt,) = await stage.claim(1)
    await stage.retry(attempt, wait=60, error=BOOM)
    told = why(await facts(stage, "b"))
    assert (told.reason, told.until) == (Reason.BREAKER_OPEN, stage.clock.now + 30 * SECOND)
    stage.clock.advance(31)
    await enlist(stage)
    assert await reason(stage, "b") is Reason.WORKERS_BUSY
    await stage.submit("c", type="mail")
    assert len(await stage.claim(5)) == 1
    told = why(await facts(stage, "c"))
    assert (told.reason, told.until) == (Reason.BREAKER_OPEN, None)


async def test_what_was_lost_waits_for_a_process_of_its_own(stage: Stage) -> None:
    await stage.submit("a", "b")
    for attempt in await stage.claim(2):
        await stage.lose(attempt)
    assert [await reason(stage, name) for name in ("a", "b")] == [Reason.ALONE] * 2
    assert [(await facts(stage, name)).before for name in ("a", "b")] == [0, 1]


async def test_before_what_waits_for_its_key_is_what_waits_for_it_too(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.submit("a", "b", "c", type="mail", key="ann")
    assert len(await stage.claim(5)) == 1
    await stage.submit("d", "e", type="mail")
    await stage.submit("f", type="mail", key="bob")
    found = await stage.ledger.facts(["b", "c", "e", "f"])
    assert {name: one.before for name, one in found.items()} == {"b": 0, "c": 1, "e": 1, "f": 2}
