"""The function that runs attempts, while the ledger fails it in every way."""

from __future__ import annotations

import logging

import pytest

from tests.aws.context import Context
from tests.aws.place import Place, Shaky, hints, outcomes, record, succeed
from tests.conformance.stage import must_add_up
from unlost.aws import attempting
from unlost.aws.queues.messages import hint
from unlost.handlers import Task
from unlost.ledger.values import Settlement
from unlost.policy import Backoff
from unlost.task import Event, Outcome, State


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried without a pause."""
    monkeypatch.setattr(attempting, "AGAIN", Backoff(base=0.0))


async def test_while_the_ledger_is_away_messages_go_back_untouched(
    place: Place, at_once: None
) -> None:
    ledger = Shaky(place.ledger)
    ledger.plan = {"claim_task": ["before"] * 9}
    await place.submit("a", "b", "c")
    records = place.queues.receive(place.queues.work)
    process = place.process(succeed, ledger=ledger)

    again = await process.batch(records, Context().left)

    assert sorted(again) == sorted(one["messageId"] for one in records)
    tries = ["claim_task"] * attempting.CLAIM_TRIES  # it is not asked for each
    assert ledger.calls == ["effect_secret", *tries]
    assert await place.states("a", "b", "c") == [State.QUEUED] * 3
    ledger.plan.clear()
    assert await process.batch(records, Context().left) == []
    assert await place.states("a", "b", "c") == [State.SUCCEEDED] * 3


async def test_a_claim_whose_answer_was_lost_is_one_attempt(place: Place, at_once: None) -> None:
    ledger = Shaky(place.ledger)
    ledger.plan = {"claim_task": ["after", "before"]}
    await place.submit("t")

    assert await place.process(succeed, ledger=ledger).batch(hints("t"), Context().left) == []

    assert outcomes(await place.task("t")) == ["succeeded"]


async def test_what_may_have_been_claimed_is_ended_by_its_lease(
    place: Place, at_once: None
) -> None:
    ledger = Shaky(place.ledger)
    ledger.plan = {"claim_task": ["after"] * attempting.CLAIM_TRIES}
    await place.submit("t")
    [message] = hints("t")

    again = await place.process(succeed, ledger=ledger).batch([message], Context(100).left)

    assert again == [message["messageId"]]
    assert await place.states("t") == [State.RUNNING]
    assert await left_behind(place) == []
    place.clock.advance(100 + attempting.LEASE_MARGIN + 1)
    assert await left_behind(place) == ["t"]
    await must_add_up(place.ledger)


async def left_behind(place: Place) -> list[str]:
    """The tasks whose attempts' leases are over; they are settled as lost."""
    await place.ledger.hint_overdue(10)
    held = await place.ledger.held(None)
    ends = [Settlement(one.task_id, one.token, Outcome.LOST, Event.RETRY) for one in held]
    await place.ledger.settle(ends)
    return [one.task_id for one in held]


async def test_a_settlement_is_tried_again_until_the_ledger_answers(
    place: Place, at_once: None
) -> None:
    ledger = Shaky(place.ledger)
    ledger.plan = {"settle": ["before"] * 5 + ["after", "before"]}
    runs = 0

    async def work(task: Task) -> None:
        nonlocal runs
        runs += 1

    await place.submit("t")

    assert await place.process(work, ledger=ledger).batch(hints("t"), Context().left) == []

    assert runs == 1
    assert outcomes(await place.task("t")) == ["succeeded"]


async def test_a_settlement_that_cannot_be_made_in_time_is_left_to_the_lease(
    place: Place, at_once: None, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Shaky(place.ledger)
    ledger.plan = {"settle": ["before"] * 100}
    left = iter([100.0] * 5 + [attempting.LAST_CALL / 2])
    await place.submit("t")

    again = await place.process(succeed, ledger=ledger).batch(hints("t"), lambda: next(left, 0.0))

    assert again == []
    assert "attempt.unsettled" in [one.message for one in caplog.records]
    place.clock.advance(200)
    assert await left_behind(place) == ["t"]


async def test_a_late_settlement_of_an_attempt_taken_for_lost_is_refused(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "unlost")

    async def work(task: Task) -> None:
        place.clock.advance(2000)
        assert await left_behind(place) == ["t"]

    await place.submit("t")

    assert await place.process(work).batch(hints("t"), Context().left) == []

    assert outcomes(await place.task("t")) == ["lost"]
    assert "attempt.refused" in [one.message for one in caplog.records]


async def test_an_invocation_answers_only_with_ids_that_it_was_given(place: Place) -> None:
    await place.submit("t")
    records = [record("poison"), *hints("nobody", "t"), record(hint("x" * 255))]

    again = await place.process(succeed).batch(records, Context(1).left)

    assert set(again) == {records[0]["messageId"], records[2]["messageId"]}
