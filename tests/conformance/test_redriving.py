"""Dead letters: grouped, given a fresh set of attempts, or discarded; their history stays."""

from __future__ import annotations

import pytest

from tests.conformance.stage import BOOM, OTHER, Stage
from unlost import policy
from unlost.ledger.protocol import Refused, UnknownTask
from unlost.ledger.values import Group
from unlost.policy import Limits
from unlost.task import Act, Event, State


async def test_a_redriven_task_is_due_now_with_its_history(stage: Stage) -> None:
    await stage.submit("a")
    await stage.retry(await stage.run("a"))
    await stage.die(await stage.run("a"))
    past = (await stage.record("a")).attempts
    now = stage.clock.advance(60)
    await stage.ledger.redrive("a", "ann", "fixed")
    entry = await stage.entry("a")
    record = entry.record
    assert (record.state, record.due_at, record.updated_at) == (State.QUEUED, now, now)
    assert record.redrive_count == 1
    assert record.attempts == past
    assert (record.attempt_count, entry.spent) == (2, 0)
    assert record.error == BOOM
    assert record.history == (Act(now, Event.REDRIVE, "ann", "fixed"),)
    assert (entry.dead_letter, entry.claimable) == (None, True)


async def test_attempt_numbers_go_on_and_the_retries_start_anew(stage: Stage) -> None:
    await stage.submit("a", max_retries=1)
    await stage.retry(await stage.run("a"))
    await stage.die(await stage.run("a"))
    await stage.ledger.redrive("a", None, None)
    attempt = await stage.run("a")
    assert (attempt.number, attempt.spent, attempt.max_retries) == (3, 1, 1)
    assert attempt.redrive_count == 1


async def test_a_redriven_task_keeps_its_limits_until_the_next_claim_finds_them_anew(
    stage: Stage,
) -> None:
    await stage.submit("a")
    (attempt,) = await stage.claim(limits=Limits(0, 5.0))
    await stage.die(attempt)
    await stage.ledger.redrive("a", None, None)
    record = await stage.record("a")
    assert (record.max_retries, record.timeout) == (0, 5.0)
    (attempt,) = await stage.claim(limits=Limits(4, 7.0))
    assert (attempt.max_retries, attempt.timeout) == (4, 7.0)


async def test_a_task_may_be_redriven_again_and_again(stage: Stage) -> None:
    await stage.bury("a")
    for number in (1, 2, 3):
        stage.clock.advance(1)
        await stage.ledger.redrive("a", None, str(number))
        await stage.die(await stage.run("a"))
    record = await stage.record("a")
    assert record.redrive_count == 3
    assert [act.reason for act in record.history] == ["1", "2", "3"]


async def test_an_edited_payload_is_what_runs_from_now_on(stage: Stage) -> None:
    await stage.bury("a", payload='{"n": 1}')
    await stage.ledger.redrive("a", None, None, '{"n": 2}')
    assert (await stage.record("a")).payload == '{"n": 2}'
    attempt = await stage.run("a")
    assert attempt.payload == '{"n": 2}'
    await stage.die(attempt)
    await stage.ledger.redrive("a", None, None)
    assert (await stage.run("a")).payload == '{"n": 2}'


async def test_a_replay_is_compared_with_what_was_first_submitted(stage: Stage) -> None:
    await stage.bury("a", payload='{"n": 1}')
    await stage.ledger.redrive("a", None, None, '{"n": 2}')
    (first,) = await stage.submit("a", payload='{"n": 1}')
    (edited,) = await stage.submit("a", payload='{"n": 2}')
    assert (first.verdict, edited.verdict) == ("replayed", "conflict")


@pytest.mark.parametrize("state", [state for state in State if state is not State.DEAD])
async def test_only_dead_letters_are_redriven_or_discarded(stage: Stage, state: State) -> None:
    await stage.into(state, "a")
    before = await stage.entry("a")
    with pytest.raises(Refused) as redrive:
        await stage.ledger.redrive("a", None, None, '{"n": 2}')
    with pytest.raises(Refused) as discard:
        await stage.ledger.discard("a", None, None)
    assert redrive.value.state is discard.value.state is state
    assert await stage.entry("a") == before


async def test_what_is_unknown_is_neither_redriven_nor_discarded(stage: Stage) -> None:
    with pytest.raises(UnknownTask):
        await stage.ledger.redrive("nobody", None, None)
    with pytest.raises(UnknownTask):
        await stage.ledger.discard("nobody", None, None)


async def test_a_discarded_dead_letter_is_cancelled_with_its_history(stage: Stage) -> None:
    await stage.bury("a")
    past = (await stage.record("a")).attempts
    now = stage.clock.advance(1)
    await stage.ledger.discard("a", "ann", "spam")
    entry = await stage.entry("a")
    assert entry.record.state is State.CANCELLED
    assert entry.record.updated_at == now
    assert entry.record.attempts == past
    assert entry.record.error == BOOM
    assert entry.record.history == (Act(now, Event.DISCARD, "ann", "spam"),)
    assert entry.dead_letter is None
    assert await stage.ledger.groups() == []


async def test_dead_letters_are_counted_by_fingerprint_most_first(stage: Stage) -> None:
    first_at = stage.clock.now
    await stage.bury("a", error=OTHER)
    await stage.bury("b", error=BOOM)
    middle_at = stage.clock.advance(1)
    await stage.bury("c", error=BOOM)
    last_at = stage.clock.advance(1)
    await stage.bury("d", error=BOOM)
    assert await stage.ledger.groups() == [
        Group(BOOM.fingerprint, "Boom", "it broke", 3, first_at, last_at),
        Group(OTHER.fingerprint, "Other", "something else", 1, first_at, first_at),
    ]
    await stage.ledger.redrive("b", None, None)
    await stage.ledger.discard("d", None, None)
    await stage.ledger.discard("a", None, None)
    assert await stage.ledger.groups() == [
        Group(BOOM.fingerprint, "Boom", "it broke", 1, middle_at, middle_at)
    ]


async def test_many_groups_have_shorter_samples(stage: Stage) -> None:
    errors = [policy.error(name, f"{name} {'ü' * 1_000}") for name in ("One", "Two", "Three")]
    await stage.submit("a", "b", "c")
    for attempt, error in zip(await stage.claim(3), errors, strict=True):
        await stage.die(attempt, error)
    for room, longest in ((1_200, 400), (3_000, 1_000), (0, 80), (8_000_000, 1_006)):
        groups = await stage.ledger.groups(room)
        whole = {error.type: error.message for error in errors}
        assert {group.error_type: group.sample for group in groups} == {
            name: message[:longest] for name, message in whole.items()
        }


async def test_without_dead_letters_there_are_no_groups(stage: Stage) -> None:
    assert await stage.ledger.groups() == []
