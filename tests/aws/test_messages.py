"""Messages to the function that runs attempts: repeated, lost, early, unreadable, of no use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.aws.context import Context
from tests.aws.place import Place, fail, hints, outcomes, record, succeed
from unlost.aws.environment import LONGEST_FUNCTION, MARGIN
from unlost.aws.queues.queue import QueueUnavailable
from unlost.handlers import Handlers, Task
from unlost.ledger.dynamodb.attempts.claiming_by_id import LONGEST
from unlost.ledger.dynamodb.connection.writes import Put
from unlost.ledger.dynamodb.hints.telling import Hint
from unlost.ledger.dynamodb.schema import key_mark, task_key
from unlost.limits.control import Change
from unlost.limits.why import Reason, why
from unlost.task import State


async def test_a_message_delivered_twice_at_once_runs_its_task_once(place: Place) -> None:
    runs: list[str] = []
    both = asyncio.Barrier(2)

    async def work(task: Task) -> None:
        runs.append(task.id)
        await asyncio.sleep(0.2)

    async def deliver() -> list[str]:
        process = place.process(work)
        await both.wait()
        return await process.batch(hints("t"), Context().left)

    await place.submit("t")

    assert not any(await asyncio.gather(deliver(), deliver()))

    assert runs == ["t"]
    assert outcomes(await place.task("t")) == ["succeeded"]


async def test_a_message_that_comes_again_later_changes_nothing(place: Place) -> None:
    await place.submit("t")
    process = place.process(succeed)
    await process.batch(hints("t"), Context().left)
    before = await place.task("t")

    assert await process.batch(hints("t", "t"), Context().left) == []

    assert await place.task("t") == before


async def test_a_lost_message_is_found_by_the_sweep(place: Place) -> None:
    await place.submit("t")
    place.queues.taken(place.queues.work)
    place.clock.advance(61)

    assert await place.ledger.hint_overdue(10) == 1

    records = place.queues.receive(place.queues.work)
    assert await place.process(succeed).batch(records, Context().left) == []
    assert await place.states("t") == [State.SUCCEEDED]


async def test_a_task_whose_message_was_never_sent_is_accepted_and_found_by_the_sweep(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(hints: Sequence[Hint]) -> None:
        raise QueueUnavailable("SQS is away")

    with monkeypatch.context() as broken:
        broken.setattr(place.queue, "due", away)
        await place.submit("t")
    assert place.queues.taken(place.queues.work) == []
    assert await place.states("t") == [State.QUEUED]
    place.clock.advance(61)

    await place.ledger.hint_overdue(10)

    assert place.queues.taken(place.queues.work) == [{"taskId": "t"}]


async def test_a_message_out_of_order_finds_its_task_or_nothing(place: Place) -> None:
    process = place.process(fail, backoff_base=10.0)
    await place.submit("t")
    await process.batch(hints("t"), Context().left)

    assert await process.batch(hints("t"), Context().left) == []  # the first one, late

    assert outcomes(await place.task("t")) == ["failed"]


async def test_a_message_before_its_time_is_followed_by_one_that_is_in_time(place: Place) -> None:
    await place.submit("t", delay=300, key="acme")
    place.queues.taken(place.queues.work)
    sent: list[Hint] = []

    async def keep(hints: Sequence[Hint]) -> None:
        sent.extend(hints)

    process = place.process(succeed)
    place.queue.due = keep  # type: ignore[method-assign]
    place.clock.advance(100)

    assert await process.batch(hints("t"), Context().left) == []

    assert sent == [Hint("t", 200_000_000, key_mark("acme"))]
    assert await place.states("t") == [State.QUEUED]


async def test_where_the_message_in_time_cannot_be_sent_the_sweep_finds_the_task(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(hints: Sequence[Hint]) -> None:
        raise QueueUnavailable("SQS is away")

    await place.submit("t", delay=300)
    with monkeypatch.context() as broken:
        broken.setattr(place.queue, "due", away)
        assert await place.process(succeed).batch(hints("t"), Context().left) == []

    place.clock.advance(400)
    assert await place.ledger.hint_overdue(10) == 1


async def test_an_unreadable_message_goes_to_the_dead_letter_queue_and_costs_its_neighbours_nothing(
    place: Place,
) -> None:
    names = [f"t{number}" for number in range(9)]
    await place.submit(*names)
    place.queues.client.send_message(QueueUrl=place.queues.work, MessageBody="poison")
    process = place.process(succeed)

    for _ in range(4):  # each time it is received again at once
        records = place.queues.receive(place.queues.work)
        again = await process.batch(records, Context().left)
        assert set(again) <= {one["messageId"] for one in records if one["body"] == "poison"}
        served = [one for one in records if one["messageId"] not in again]
        place.queues.delete(place.queues.work, served)

    assert set(await place.states(*names)) == {State.SUCCEEDED}
    assert [one["body"] for one in place.queues.receive(place.queues.dead)] == ["poison"]


async def test_a_poisonous_task_among_ten_costs_the_others_nothing(place: Place) -> None:
    async def work(task: Task) -> None:
        if task.id == "t4":
            raise SystemExit("poison")

    names = [f"t{number}" for number in range(10)]
    await place.submit(*names)

    assert await place.process(work).batch(hints(*names), Context().left) == []

    states = await place.states(*names)
    assert states.count(State.SUCCEEDED) == 9
    assert states[4] is State.RETRYING


async def test_a_record_that_was_broken_by_hand_costs_its_neighbours_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"t{number}" for number in range(10)]
    await place.submit(*names)
    whole = await place.calls.get(task_key("t4"))
    assert whole is not None
    await place.calls.write(Put({**whole, "state": "nonsense"}))
    records = hints(*names)

    again = await place.process(succeed).batch(records, Context().left)

    assert again == [records[4]["messageId"]]
    assert "message.failed" in [one.message for one in caplog.records]
    await place.calls.write(Put(whole))
    assert (await place.states(*names)).count(State.SUCCEEDED) == 9


async def test_a_message_that_cannot_be_given_back_comes_with_its_visibilitys_end(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    poison = record("poison", handle="no handle of this queue")

    again = await place.process(succeed).batch([poison, *hints("nobody")], Context().left)

    assert again == [poison["messageId"]]
    assert "messages.held" in [one.message for one in caplog.records]


async def test_an_unhandled_type_waits_for_a_handler(place: Place) -> None:
    handlers = Handlers()
    handlers.task("known")(succeed)
    await place.submit("t", type="unknown")

    assert await place.process(handlers).batch(hints("t"), Context().left) == []

    assert await place.states("t") == [State.QUEUED]
    assert await place.process(succeed).batch(hints("t"), Context().left) == []
    assert await place.states("t") == [State.SUCCEEDED]


async def test_a_message_for_a_type_that_was_marked_since_is_left(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    await place.submit("due", type="mail")
    await place.submit("later", type="mail", delay=60)
    place.queues.taken(place.queues.work)
    await place.ledger.change("mail", Change(pull=True))

    assert await place.process(Handlers()).batch(hints("due", "later"), Context().left) == []

    assert await place.states("due", "later") == [State.QUEUED] * 2
    assert (await place.task("due")).attempt_count == 0
    assert (await place.queue.depths()).work == 1  # the one that the submit has sent, held back
    assert caplog.records == []


async def test_a_task_with_more_time_than_a_function_has_is_left_to_workers_elsewhere(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    await place.submit("long", type="mail", timeout=43_200.0)
    await place.submit("short", type="mail", timeout=LONGEST)
    process = place.process(succeed)

    assert await process.batch(hints("long", "short"), Context().left) == []

    assert await place.states("long", "short") == [State.QUEUED, State.SUCCEEDED]
    assert (await place.task("long")).attempt_count == 0
    assert [one.getMessage() for one in caplog.records] == ["task.too_long"]
    told = why((await place.ledger.facts(["long"]))["long"])
    assert told.reason is Reason.NO_WORKER
    assert "time that its submit has asked for" in told.detail


def test_what_no_function_has_time_for_is_what_lambda_allows_less_the_margin() -> None:
    assert LONGEST == LONGEST_FUNCTION - MARGIN


async def test_what_waits_for_a_type_that_no_function_serves_is_known(place: Place) -> None:
    handlers = Handlers()
    handlers.task("known")(succeed)
    await place.submit("a", type="known")
    await place.submit("b", type="unknown")

    await place.process(handlers).batch([], Context().left)

    assert (await place.ledger.counts()).unhandled == ("unknown",)
    await place.process(succeed).batch([], Context().left)  # another deployment
    assert (await place.ledger.counts()).unhandled == ()
