"""A paused type: its tasks wait, cost no attempt, and go on where they were."""

from __future__ import annotations

from tests.conformance.stage import LEASE, Stage, ended
from unlost.ledger.values import Claim, Settled, Worker
from unlost.limits.control import Pause
from unlost.policy import Limits
from unlost.task import SECOND, Event, Outcome, Record, State


async def test_no_claim_takes_a_task_of_a_paused_type(stage: Stage) -> None:
    await stage.submit("slow", type="mail", priority=9)
    await stage.submit("quick", type="sms")
    await stage.ledger.pause("mail", "ann", "the server is down")
    assert [claimed.task_id for claimed in await stage.claim(5)] == ["quick"]
    assert await claim_types(stage, "mail") == []
    assert (await known(stage, "slow")).attempt_count == 0


async def test_once_resumed_its_tasks_are_claimed_best_first(stage: Stage) -> None:
    await stage.submit("low", type="mail", priority=1)
    await stage.submit("high", type="mail", priority=2)
    await stage.ledger.pause("mail", None, None)
    assert await stage.claim(5) == []
    await stage.ledger.resume("mail")
    assert [claimed.task_id for claimed in await stage.claim(5)] == ["high", "low"]


async def test_what_runs_when_its_type_is_paused_goes_on_and_its_retry_waits(stage: Stage) -> None:
    await stage.submit("a", "b", type="mail")
    first, second = await stage.claim(2)
    await stage.ledger.pause("mail", None, None)
    done = ended(first, Outcome.SUCCEEDED, Event.SUCCEED)
    again = ended(second, Outcome.FAILED, Event.RETRY, wait=1)
    assert await stage.ledger.settle([done, again]) == [Settled.HELD, Settled.HELD]
    stage.clock.advance(60)
    assert await stage.claim(5) == []
    assert (await known(stage, "b")).state is State.RETRYING
    await stage.ledger.resume("mail")
    [claimed] = await stage.claim(5)
    assert (claimed.task_id, claimed.number) == ("b", 2)


async def test_a_paused_type_gives_no_worker_anything_to_wake_for(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await stage.submit("b", type="sms", delay=30)
    await stage.ledger.pause("mail", None, None)
    assert await stage.ledger.due_in(None) == 30 * SECOND
    assert await stage.ledger.due_in(["mail"]) is None
    await stage.ledger.resume("mail")
    assert await stage.ledger.due_in(["mail"]) == 0


async def test_what_is_paused_is_neither_unhandled_nor_overdue(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await stage.ledger.pause("mail", None, None)
    counts = await stage.ledger.counts()
    assert counts.unhandled == ()
    assert counts.oldest_due is None
    await stage.ledger.resume("mail")
    counts = await stage.ledger.counts()
    assert counts.unhandled == ("mail",)
    assert counts.oldest_due is not None


async def test_the_pauses_tell_who_since_when_and_why_and_the_first_one_stays(stage: Stage) -> None:
    at = stage.clock()
    await stage.ledger.pause("mail", "ann", "down")
    await stage.ledger.pause("a b/ü", None, None)
    stage.clock.advance(60)
    await stage.ledger.pause("mail", "bob", "again")
    assert await pauses(stage) == [Pause("a b/ü", at), Pause("mail", at, "ann", "down")]


async def test_a_type_that_is_not_paused_can_be_resumed(stage: Stage) -> None:
    await stage.ledger.resume("mail")
    assert await stage.ledger.controls() == []


async def test_an_attempt_lost_in_a_paused_type_waits_to_run_alone(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    [claimed] = await stage.claim(1)
    await stage.ledger.pause("mail", None, None)
    await stage.ledger.settle([ended(claimed, Outcome.LOST, Event.RETRY)])
    assert await stage.ledger.due_in(None, alone=True) is None
    assert await stage.claim(5, alone=True) == []
    await stage.ledger.resume("mail")
    assert [one.task_id for one in await stage.claim(5, alone=True)] == ["a"]


async def pauses(stage: Stage) -> list[Pause | None]:
    return [control.pause for control in await stage.ledger.controls()]


async def known(stage: Stage, task_id: str) -> Record:
    record = await stage.ledger.get(task_id)
    assert record is not None
    return record


async def claim_types(stage: Stage, *names: str) -> list[str]:
    await stage.ledger.enlist(Worker("w", names), LEASE)
    wanted = Claim("w", ["x1", "x2"], {name: Limits() for name in names}, Limits(2, 60.0))
    return [claimed.task_id for claimed in await stage.ledger.claim(wanted)]
