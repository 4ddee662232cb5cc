"""A task that follows: submitted in the step that settles an attempt, or not at all."""

from __future__ import annotations

from msgspec.structs import replace

from tests.conformance.stage import BOOM, Stage, ended, must_add_up, submission
from unlost.ledger.values import Settled
from unlost.task import Event, Outcome, State

FOLLOW = submission("next", '{"n": 1}', type="mail", key="ann")


async def test_a_settlement_that_holds_brings_the_task_that_follows(stage: Stage) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    done = replace(ended(a, Outcome.SUCCEEDED, Event.SUCCEED), follow=FOLLOW)
    assert await stage.ledger.settle([done]) == [Settled.HELD]
    record = await stage.record("next")
    assert (record.state, record.type, record.payload) == (State.QUEUED, "mail", '{"n": 1}')
    assert [one.task_id for one in await stage.claim(5)] == ["next"]
    assert (await stage.ledger.counts()).accepted == 2
    await must_add_up(stage.ledger)


async def test_a_settlement_that_comes_too_late_brings_nothing(stage: Stage) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    await stage.ledger.cancel("a", None, None)
    late = replace(ended(a, Outcome.SUCCEEDED, Event.SUCCEED), follow=FOLLOW)
    assert await stage.ledger.settle([late]) == [Settled.REFUSED]
    assert await stage.ledger.get("next") is None


async def test_what_follows_comes_once_though_its_settlement_is_repeated(stage: Stage) -> None:
    await stage.submit("a", "b")
    a, b = await stage.claim(2)
    done = replace(ended(a, Outcome.SUCCEEDED, Event.SUCCEED), follow=FOLLOW)
    died = ended(b, Outcome.FAILED, Event.DIE, error=BOOM)
    assert await stage.ledger.settle([done, replace(died, follow=FOLLOW)]) == [
        Settled.HELD,
        Settled.HELD,
    ]
    assert await stage.ledger.settle([done]) == [Settled.REFUSED]
    assert (await stage.ledger.counts()).accepted == 3
    await must_add_up(stage.ledger)


async def test_what_follows_may_be_known_already_and_stays_as_it_is(stage: Stage) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    await stage.submit("next", payload='{"n": 2}')
    done = replace(ended(a, Outcome.SUCCEEDED, Event.SUCCEED), follow=FOLLOW)
    assert await stage.ledger.settle([done]) == [Settled.HELD]
    assert (await stage.record("a")).state is State.SUCCEEDED
    assert (await stage.record("next")).payload == '{"n": 2}'


async def test_a_lost_attempt_is_held_with_what_its_task_carries(stage: Stage) -> None:
    await stage.submit("a", carried='{"x":1}')
    await stage.claim()
    (held,) = await stage.ledger.held("worker")
    assert held.carried == '{"x":1}'
