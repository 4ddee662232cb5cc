"""Submitting: one task per id, durable, in order."""

from __future__ import annotations

from tests.conformance.stage import Stage, submission
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Submitted, Verdict
from unlost.task import SECOND, State


async def test_a_new_task_is_queued_and_due_at_once(stage: Stage) -> None:
    (answer,) = await stage.submit("a", payload='{"n": 1}', type="mail", priority=7)
    now = stage.clock.now
    assert answer == Submitted(Verdict.ACCEPTED, now, now)
    record = await stage.record("a")
    assert (record.task_id, record.type, record.priority) == ("a", "mail", 7)
    assert record.state is State.QUEUED
    assert record.submitted_at == record.updated_at == record.due_at == now
    assert record.attempt_count == record.redrive_count == 0
    assert (record.error, record.result, record.purged_at) == (None, None, None)
    assert (record.attempts, record.history) == ((), ())


async def test_a_payload_comes_back_as_it_was_sent(stage: Stage) -> None:
    payload = '{"z":1.10,"a":"é\\u0000 😀","n":123456789012345678901234567890,"z2":1e-400}'
    await stage.submit("a", payload=payload)
    assert (await stage.record("a")).payload == payload
    assert (await stage.run("a")).payload == payload


async def test_ids_are_any_text(stage: Stage) -> None:
    ids = ["a/b", "a?b=c", "%", "_", "\\", "'", "é", "e\u0301", "😀" * 255, "A", "a"]
    await stage.submit(*ids)
    for task_id in ids:
        assert (await stage.record(task_id)).task_id == task_id


async def test_the_limits_a_submit_names_stand_in_the_record(stage: Stage) -> None:
    await stage.submit("a", max_retries=0, timeout=1.5)
    await stage.submit("b")
    named, open_ = await stage.record("a"), await stage.record("b")
    assert (named.max_retries, named.timeout) == (0, 1.5)
    assert (open_.max_retries, open_.timeout) == (None, None)


async def test_the_same_again_is_a_replay_and_changes_nothing(stage: Stage) -> None:
    await stage.submit("a", payload='{"n": 1}')
    before = await stage.record("a")
    stage.clock.advance(5)
    (answer,) = await stage.submit("a", payload='{"n": 1}')
    assert answer.verdict is Verdict.REPLAYED
    assert await stage.record("a") == before
    assert (await stage.ledger.counts()).accepted == 1


async def test_another_payload_under_the_same_id_is_a_conflict_and_changes_nothing(
    stage: Stage,
) -> None:
    await stage.submit("a", payload='{"n": 1}')
    before = await stage.record("a")
    (answer,) = await stage.submit("a", payload='{"n": 2}')
    assert answer.verdict is Verdict.CONFLICT
    assert await stage.record("a") == before
    assert (await stage.ledger.counts()).accepted == 1


async def test_other_options_under_the_same_id_are_a_conflict(stage: Stage) -> None:
    await stage.submit("a", priority=1)
    (answer,) = await stage.submit("a", priority=2)
    assert answer.verdict is Verdict.CONFLICT


async def test_replays_and_conflicts_are_told_within_one_batch(ledger: Ledger) -> None:
    answers = await ledger.submit(
        [
            submission("a", '{"n": 1}'),
            submission("b"),
            submission("a", '{"n": 1}'),
            submission("a", '{"n": 2}'),
            submission("c"),
        ]
    )
    assert [answer.verdict for answer in answers] == [
        Verdict.ACCEPTED,
        Verdict.ACCEPTED,
        Verdict.REPLAYED,
        Verdict.CONFLICT,
        Verdict.ACCEPTED,
    ]
    record = await ledger.get("a")
    assert record is not None
    assert record.payload == '{"n": 1}'
    assert (await ledger.counts()).accepted == 3


async def test_a_replay_is_told_in_every_state(stage: Stage) -> None:
    for state in State:
        await stage.into(state, state.value)
        (answer,) = await stage.submit(state.value)
        assert answer.verdict is Verdict.REPLAYED
        assert (await stage.record(state.value)).state is state


async def test_an_empty_batch_is_answered(ledger: Ledger) -> None:
    assert await ledger.submit([]) == []


async def test_a_large_batch_is_stored_whole_and_in_order(stage: Stage) -> None:
    ids = [f"t{number:05}" for number in range(stage.many(3000))]
    answers = await stage.submit(*ids)
    assert {answer.verdict for answer in answers} == {Verdict.ACCEPTED}
    entries = await stage.ledger.entries(0, 5000)
    assert [entry.record.task_id for entry in entries] == ids
    positions = [entry.position for entry in entries]
    assert positions == sorted(set(positions))


async def test_a_delay_counts_from_the_submit(stage: Stage) -> None:
    (answer,) = await stage.submit("a", delay=2.5)
    assert answer.due_at == answer.submitted_at + round(2.5 * SECOND)
    assert (await stage.record("a")).due_at == answer.due_at


async def test_run_at_beats_a_delay(stage: Stage) -> None:
    run_at = stage.clock.now + 60 * SECOND
    (answer,) = await stage.submit("a", delay=1, run_at=run_at)
    assert answer.due_at == run_at


async def test_run_at_in_the_past_is_due_at_once(stage: Stage) -> None:
    await stage.submit("a", run_at=stage.clock.now - 3600 * SECOND)
    assert [attempt.task_id for attempt in await stage.claim()] == ["a"]


async def test_submit_times_never_run_backwards(stage: Stage) -> None:
    (first,) = await stage.submit("a")
    stage.clock.advance(-60)
    (second,) = await stage.submit("b")
    stage.clock.advance(1)
    (third,) = await stage.submit("c")
    assert first.submitted_at <= second.submitted_at <= third.submitted_at


async def test_a_clock_that_steps_back_does_not_put_off_what_is_submitted_then(
    stage: Stage,
) -> None:
    await stage.submit("a")
    stage.clock.advance(-3600)
    await stage.submit("b")
    assert [attempt.task_id for attempt in await stage.claim()] == ["b"]


async def test_what_is_not_there_is_none(ledger: Ledger) -> None:
    assert await ledger.get("nobody") is None
