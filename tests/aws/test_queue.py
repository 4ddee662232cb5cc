"""What goes through the queues: hints and deaths, in batches that SQS takes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.aws.context import Context
from tests.aws.emulator import Emulator
from tests.aws.place import Place, fail, hints, place_in
from tests.conformance.stage import Clock, submission
from tests.ledger.patience import hurried
from unlost.aws.queues import messages
from unlost.aws.queues.queue import (
    AT_ONCE,
    HEAVIEST,
    LONGEST_DELAY,
    OUTLASTED,
    QueueUnavailable,
    Receipt,
    SqsQueue,
    packed,
)
from unlost.ledger.dynamodb.hints.telling import Hint
from unlost.ledger.values import Report
from unlost.task import SECOND, TaskError


@pytest.fixture
async def place(emulator: Emulator, clock: Clock) -> AsyncIterator[Place]:
    async with place_in(emulator.url, clock) as place:
        yield place


class Recording:
    """Stands between a queue and its client: sees every call, and may spoil the next answers."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.spoiled: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.calls.append((name, arguments))
            if self.spoiled:
                answer = self.spoiled.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer
            return getattr(self._client, name)(**arguments)

        return call


def watched(place: Place) -> tuple[SqsQueue, Recording]:
    client = Recording(place.queues.client)
    return SqsQueue(client, place.queues.work, place.queues.dead, hurried(OUTLASTED)), client


def report(task_id: str = "t", payload: str = "{}", message: str = "no") -> Report:
    return Report(7, task_id, "default", payload, TaskError("E", message), 3, 1, 2)


async def test_hints_lead_to_their_tasks(place: Place) -> None:
    names = [f"task {number} ✓ \uffff" for number in range(25)]

    await place.queue.due([Hint(name, 0) for name in names])

    found = [messages.read(json.dumps(body)) for body in place.queues.taken(place.queues.work)]
    assert sorted(one.task_id for one in found) == sorted(names)
    assert {one.report_id for one in found} == {None}


async def test_a_hint_is_held_back_until_its_task_is_due_and_never_less(place: Place) -> None:
    queue, client = watched(place)

    await queue.due([Hint("a", 1), Hint("b", SECOND), Hint("c", 1_500_000), Hint("d", 0)])

    [(_, sent)] = client.calls
    assert [entry["DelaySeconds"] for entry in sent["Entries"]] == [1, 1, 2, 0]


async def test_what_sqs_cannot_hold_back_so_long_is_left_to_the_sweep(place: Place) -> None:
    queue, client = watched(place)

    await queue.due([Hint("later", LONGEST_DELAY * SECOND + 1), Hint("now", 900 * SECOND)])

    [(_, sent)] = client.calls
    assert [json.loads(one["MessageBody"])["taskId"] for one in sent["Entries"]] == ["now"]
    await queue.due([Hint("later", 31_536_000 * SECOND)])
    assert len(client.calls) == 1


async def test_each_message_of_a_task_is_in_the_group_of_its_key_so_that_the_queue_is_fair(
    place: Place,
) -> None:
    await place.ledger.submit(
        [
            submission("a", key="acme"),
            submission("b", type="mail", key="acme"),
            submission("c", type="mail"),
            submission("d", key="it\u2019s ours, " * 18),
        ]
    )

    found = groups(place)

    assert found["a"] == found["b"] != found["d"]  # a key is the same of whatever type
    assert all(re.fullmatch("[0-9a-f]{1,128}", found[one]) for one in "abd")
    assert found["c"] == ""  # stands for itself


async def test_a_message_that_follows_another_is_in_the_same_group(place: Place) -> None:
    await place.ledger.submit([submission("t", key="acme")])
    before = groups(place)
    process = place.process(fail, backoff_base=0.0)

    await process.batch(hints("t"), Context().left)

    assert groups(place) == before


def groups(place: Place) -> dict[str, str]:
    """The group of each message that is visible, by its task."""
    answer = place.queues.client.receive_message(
        QueueUrl=place.queues.work,
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["MessageGroupId"],
    )
    found: dict[str, str] = {}
    for one in answer.get("Messages", ()):
        task_id = messages.read(one["Body"]).task_id
        found[task_id] = one.get("Attributes", {}).get("MessageGroupId", "")
        place.queues.client.delete_message(
            QueueUrl=place.queues.work, ReceiptHandle=one["ReceiptHandle"]
        )
    return found


async def test_a_death_carries_the_payload_as_it_was_submitted(place: Place) -> None:
    payload = '{"n":12345678901234567890.10,"b":1,"a":"\uffff\ufffe \u2028"}'

    await place.queue.died([report("t\uffff", payload, "no \ud7ff\uffff")])

    [body] = [one["body"] for one in place.queues.receive(place.queues.dead)]
    assert '"payload": {"n":12345678901234567890.10,"b":1,"a":"\\uffff\\ufffe' in body
    assert json.loads(body) == {
        "taskId": "t\uffff",
        "reportId": 7,
        "payload": json.loads(payload),
        "error": {"type": "E", "message": "no \ud7ff\uffff"},
    }


async def test_the_heaviest_deaths_go_in_as_few_calls_as_sqs_takes(place: Place) -> None:
    queue, client = watched(place)
    payload = json.dumps({"text": "x" * (256 * 1024 - 20)})

    await queue.died([report(f"t{number}", payload) for number in range(7)])

    weights = [
        sum(len(entry["MessageBody"].encode()) for entry in sent["Entries"])
        for _, sent in client.calls
    ]
    assert [len(sent["Entries"]) for _, sent in client.calls] == [3, 3, 1]
    assert max(weights) <= HEAVIEST
    assert len(place.queues.taken(place.queues.dead)) == 7


def test_batches_hold_ten_messages_and_a_mebibyte() -> None:
    light = [{"MessageBody": "x"} for _ in range(23)]
    heavy = [{"MessageBody": "é" * (HEAVIEST // 4)} for _ in range(5)]

    assert [len(batch) for batch in packed(light)] == [AT_ONCE, AT_ONCE, 3]
    assert [len(batch) for batch in packed(heavy)] == [2, 2, 1]
    assert list(packed([])) == []


async def test_what_sqs_left_out_of_a_batch_is_sent_again_alone(place: Place) -> None:
    queue, client = watched(place)
    busy = {"Id": "1", "Code": "InternalError", "SenderFault": False}
    client.spoiled = [{"Successful": [{"Id": "0"}], "Failed": [busy]}]

    await queue.due([Hint("a", 0), Hint("b", 0)])

    assert place.queues.taken(place.queues.work) == [{"taskId": "b"}]


@pytest.mark.parametrize("fault", [True, False])
async def test_what_sqs_never_takes_is_told(place: Place, fault: bool) -> None:
    queue, client = watched(place)
    refused = {"Id": "0", "Code": "InvalidMessageContents", "SenderFault": fault}
    client.spoiled = [{"Failed": [refused]}] * 100

    with pytest.raises(QueueUnavailable, match="InvalidMessageContents"):
        await queue.due([Hint("a", 0)])

    assert (len(client.calls) == 1) is fault
    assert len(client.calls) < 15


async def test_what_passes_by_itself_is_outlasted(place: Place) -> None:
    queue, client = watched(place)
    busy = {"Id": "0", "Code": "InternalError", "SenderFault": False}
    gone = ReadTimeoutError(endpoint_url="here")
    client.spoiled = [gone, {"Failed": [busy]}, gone, gone]

    await queue.due([Hint("a", 0)])

    assert len(client.calls) == 5
    assert place.queues.taken(place.queues.work) == [{"taskId": "a"}]


async def test_a_batch_that_fails_keeps_no_other_from_being_sent(place: Place) -> None:
    queue, client = watched(place)
    refused = {"Id": "0", "Code": "InvalidMessageContents", "SenderFault": True}
    client.spoiled = [{"Failed": [refused]}]

    with pytest.raises(QueueUnavailable):
        await queue.due([Hint(str(number), 0) for number in range(15)])

    assert len(place.queues.taken(place.queues.work)) in (5, 10)


async def test_a_message_given_back_comes_again_at_once(place: Place) -> None:
    await place.queue.due([Hint("t", 0)])
    [first] = place.queues.receive(place.queues.work)
    assert place.queues.receive(place.queues.work) == []

    await place.queue.give_back([Receipt(first["messageId"], first["receiptHandle"])], 0)

    [again] = place.queues.receive(place.queues.work)
    assert again["messageId"] == first["messageId"]


async def test_depths_count_what_waits_what_is_held_back_and_what_is_in_flight(
    place: Place,
) -> None:
    await place.queue.due([Hint("a", 0), Hint("b", 60 * SECOND)])
    await place.queue.died([report()])
    place.queues.receive(place.queues.work)

    depths = await place.queue.depths()

    assert (depths.work, depths.dead_letters) == (2, 1)


async def test_an_sqs_that_is_not_there_is_told_so(place: Place) -> None:
    gone = SqsQueue(place.queues.client, place.queues.work + "-gone", place.queues.dead + "-gone")

    with pytest.raises(QueueUnavailable):
        await gone.due([Hint("t", 0)])
    with pytest.raises(QueueUnavailable):
        await gone.depths()
    with pytest.raises(QueueUnavailable):
        await gone.give_back([Receipt("m", "h")], 0)


@pytest.mark.parametrize(
    "body",
    ["", "hello", "[]", "{}", '{"taskId": 1}', '{"taskId": ""}', '{"taskId": "t", "reportId": "x"}',
     '{"taskId": "' + "x" * 256 + '"}', '{"taskId": null}', "\ud800", "[" * 10_000],
)  # fmt: skip
def test_what_is_not_ours_is_known(body: str) -> None:
    with pytest.raises(messages.NotOurs):
        messages.read(body)
