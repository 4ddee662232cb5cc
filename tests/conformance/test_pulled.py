"""A type that is marked `pull`: only workers that claim by the API take its tasks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.conformance.stage import LEASE, Stage
from unlost.ledger.values import Claim, Claimed, Worker
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change, Claimant, Control
from unlost.limits.why import Reason, why
from unlost.policy import Limits
from unlost.task import SECOND

PULLED = Change(pull=True)
PULLER = Worker("puller", ("mail",), pull=True)


async def test_no_worker_over_the_ledger_takes_a_task_of_a_type_that_is_pulled(
    stage: Stage,
) -> None:
    await stage.submit("mine", type="mail", priority=9)
    await stage.submit("other", type="sms")
    await stage.ledger.change("mail", PULLED)
    assert [one.task_id for one in await stage.claim(5)] == ["other"]
    assert await stage.claim(5, types=("mail",)) == []
    assert (await stage.record("mine")).attempt_count == 0
    assert [one.task_id for one in await pull(stage, "mail")] == ["mine"]


async def test_who_pulls_takes_what_is_not_marked_too(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    assert [one.task_id for one in await pull(stage, "mail", "sms")] == ["a"]


async def test_without_the_mark_whoever_claims_first_takes_it(stage: Stage) -> None:
    await stage.ledger.change("mail", PULLED)
    await stage.submit("a", type="mail")
    assert await stage.claim(5) == []
    await stage.ledger.change("mail", Change(pull=False))
    assert await stage.ledger.controls() == []
    assert [one.task_id for one in await stage.claim(5)] == ["a"]


async def test_the_mark_is_kept_beside_what_else_is_set(stage: Stage) -> None:
    await stage.ledger.change("mail", PULLED)
    assert await stage.ledger.controls() == [Control("mail", pull=True)]
    await stage.ledger.change("mail", Change(limit=3, rate=2.5))
    await stage.ledger.pause("mail", None, None)
    await stage.ledger.resume("mail")
    await stage.reopen()
    assert await stage.ledger.controls() == [Control("mail", limit=3, rate=2.5, pull=True)]
    await stage.ledger.change("mail", Change(limit=None, rate=None))
    assert await stage.ledger.controls() == [Control("mail", pull=True)]


async def test_an_end_that_a_breaker_learns_of_keeps_the_mark(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(breaker=Breaker(minimum=9), pull=True))
    await stage.submit("a", type="mail")
    (attempt,) = await pull(stage, "mail")
    await stage.retry(attempt, wait=60)
    assert [one.pull for one in await stage.ledger.controls()] == [True]


async def test_limits_hold_for_who_pulls(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(limit=1, pull=True))
    await stage.submit("a", "b", type="mail")
    (first,) = await pull(stage, "mail")
    assert await pull(stage, "mail") == []
    await stage.succeed(first)
    assert len(await pull(stage, "mail")) == 1


async def test_each_hears_when_what_is_its_own_is_due(stage: Stage) -> None:
    await stage.ledger.change("mail", PULLED)
    await stage.submit("a", type="mail")
    await stage.submit("b", type="sms", delay=30)
    assert await stage.ledger.due_in(None) == 30 * SECOND
    assert await stage.ledger.due_in(["mail"]) is None
    assert await stage.ledger.due_in(["mail"], claimant=Claimant.PULL) == 0


async def test_what_was_lost_runs_alone_with_who_pulls(stage: Stage) -> None:
    await stage.ledger.change("mail", PULLED)
    await stage.submit("a", type="mail")
    (attempt,) = await pull(stage, "mail")
    await stage.lose(attempt)
    assert await stage.ledger.due_in(None, alone=True) is None
    assert await stage.claim(5, worker="solo", alone=True) == []
    assert await pull(stage, "mail") == []
    assert [one.task_id for one in await pull(stage, "mail", alone=True)] == ["a"]


async def test_a_worker_that_pulls_is_known_as_one(stage: Stage) -> None:
    await stage.ledger.enlist(PULLER, LEASE)
    await stage.ledger.enlist(Worker("local"), LEASE)
    known = [one.worker for one in await stage.ledger.workers()]
    assert known == [Worker("local"), PULLER]
    await stage.ledger.extend(["puller"], LEASE)
    assert (await stage.ledger.workers())[1].worker == PULLER


@pytest.mark.parametrize("there", [None, replace(PULLER, types=("sms",)), PULLER])
async def test_it_is_unhandled_until_a_worker_is_there_that_pulls_it(
    stage: Stage, there: Worker | None
) -> None:
    await stage.ledger.change("mail", PULLED)
    await stage.submit("a", type="mail")
    await stage.submit("b", type="sms")
    await stage.ledger.enlist(Worker("local"), LEASE)  # of every type
    if there is not None:
        await stage.ledger.enlist(there, LEASE)
    counts = await stage.ledger.counts()
    assert counts.unhandled == (() if there is PULLER else ("mail",))
    assert counts.oldest_due is not None
    assert counts.workers == 1 + (there is not None)


async def test_a_type_that_is_not_marked_is_handled_by_who_pulls_it(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await stage.submit("b", type="sms")
    await stage.ledger.enlist(PULLER, LEASE)
    assert (await stage.ledger.counts()).unhandled == ("sms",)


async def test_why_tells_for_whom_a_task_waits(stage: Stage) -> None:
    await stage.ledger.change("mail", PULLED)
    await stage.submit("a", type="mail")
    await stage.ledger.enlist(Worker("local", slots=9), LEASE)
    told = why((await stage.ledger.facts(["a"]))["a"])
    assert (told.reason, told.detail, told.would_change) == (
        Reason.NO_WORKER,
        "No worker that claims by the API is there that serves the type mail.",
        "It starts once a worker that claims by the API is there that serves its type.",
    )
    await stage.ledger.enlist(PULLER, LEASE)
    assert why((await stage.ledger.facts(["a"]))["a"]).reason is Reason.WORKERS_BUSY


async def pull(stage: Stage, *types: str, alone: bool = False) -> list[Claimed]:
    """Claim what is due of these types, as a worker that does so by the API."""
    await stage.ledger.enlist(replace(PULLER, types=types), LEASE)
    wanted = Claim(
        PULLER.id, stage.tokens(5), dict.fromkeys(types, Limits()), Limits(2, 60.0), alone,
        Claimant.PULL,
    )  # fmt: skip
    return await stage.ledger.claim(wanted)


async def test_a_stand_in_leaves_what_was_named_by_the_api_for_a_minute(stage: Stage) -> None:
    for lease in (5, 60):
        await stage.submit(f"a{lease}", type="mail")
        await stage.submit(f"b{lease}", type="sms")
        await stage.ledger.enlist(PULLER, lease * SECOND)
        assert await stand_in(stage) == [f"b{lease}"]
        assert await stage.ledger.due_in(None, claimant=Claimant.STAND_IN) is None
        assert await stage.ledger.due_in(["mail"], claimant=Claimant.STAND_IN) is None
        stage.clock.advance(59.9)
        await stage.ledger.enlist(Worker("new"), SECOND)
        await stage.ledger.dismiss("puller", expired=True)
        assert await stand_in(stage) == []
        stage.clock.advance(lease)
        assert await stage.ledger.due_in(None, claimant=Claimant.STAND_IN) in (0, None)
        stage.clock.advance(55)
        assert await stand_in(stage) == [f"a{lease}"]
        await stage.ledger.dismiss("puller")


async def test_what_a_stand_in_leaves_for_a_minute_waits_for_a_worker(stage: Stage) -> None:
    async def reason() -> Reason:
        return why((await stage.ledger.facts(["a"]))["a"]).reason

    await stage.submit("a", type="mail")
    assert await reason() is Reason.NO_WORKER
    await stage.ledger.enlist(PULLER, 5 * SECOND)
    assert await stand_in(stage) == []
    assert await reason() is Reason.WORKERS_BUSY  # the puller's
    stage.clock.advance(59.9)
    assert await stand_in(stage) == []
    assert await reason() is Reason.NO_WORKER
    stage.clock.advance(0.2)
    assert await reason() is Reason.WORKERS_BUSY
    assert await stand_in(stage) == ["a"]


async def test_who_stands_in_is_known_as_such(stage: Stage) -> None:
    myself = Worker("simulated", slots=5, stand_in=True)
    await stage.ledger.enlist(myself, LEASE)
    await stage.ledger.enlist(Worker("simulated", ()), LEASE)  # its start was told of late
    assert [one.worker for one in await stage.ledger.workers() if one.worker.id == "simulated"] == [
        myself
    ]


async def test_who_does_not_stand_in_takes_what_was_named_all_the_same(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await stage.ledger.enlist(PULLER, LEASE)
    assert [one.task_id for one in await stage.claim(5)] == ["a"]


async def test_a_stand_in_leaves_what_was_named_also_where_something_is_set(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(limit=9))
    await stage.ledger.change("sms", Change(limit=9))
    await stage.submit("a", type="mail")
    await stage.submit("b", type="sms")
    await stage.ledger.enlist(PULLER, LEASE)
    assert await stand_in(stage) == ["b"]
    assert [one.task_id for one in await pull(stage, "mail")] == ["a"]


async def stand_in(stage: Stage) -> list[str]:
    """Claim what is due as the simulated handler's worker does."""
    await stage.ledger.enlist(Worker("simulated", slots=5, stand_in=True), 3_600 * SECOND)
    wanted = Claim(
        "simulated", stage.tokens(5), None, Limits(2, 60.0), claimant=Claimant.STAND_IN
    )  # fmt: skip
    return [one.task_id for one in await stage.ledger.claim(wanted)]
