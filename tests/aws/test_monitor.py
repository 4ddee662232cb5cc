"""The function on the dead-letter queue: each death in the log, once, whatever fails on the way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.aws.context import Context
from tests.aws.emulator import Emulator
from tests.aws.place import Place, Shaky, fail, hints, place_in, record, succeed
from tests.conformance.stage import Clock, must_add_up
from unlost.aws.monitor import RETURN_DELAY, Deaths
from unlost.aws.queues.queue import QueueUnavailable
from unlost.aws.queues.strangers import Strangers
from unlost.ledger.dynamodb.connection.writes import Put
from unlost.ledger.dynamodb.hints.telling import Hint
from unlost.ledger.dynamodb.schema import payload_key, report_key
from unlost.ledger.protocol import LedgerUnavailable
from unlost.limits.control import Change
from unlost.task import SECOND, State
from unlost.upkeep.monitor import LEASE, Monitor


class Log:
    """Lines that were written; `broken` is how many of the next cannot be."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.broken = 0

    async def write(self, line: bytes) -> None:
        if self.broken:
            self.broken -= 1
            raise BrokenPipeError
        self.lines.append(line)

    def told(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]


class Monitored:
    """A place with the monitor's function over it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.log = Log()
        self.ledger = Shaky(place.ledger)
        self.strangers = Strangers(place.calls, place.clock)
        self.restart()

    def restart(self) -> None:
        """Another sandbox, which knows nothing of what the last one had in memory."""
        monitor = Monitor(self.ledger, self.log.write)
        self.deaths = Deaths(self.ledger, monitor, self.place.queue, self.strangers)

    async def bury(self, *task_ids: str, payload: str = "{}") -> list[dict[str, Any]]:
        """Have these tasks die; the messages in the dead-letter queue."""
        await self.place.submit(*task_ids, payload=payload)
        process = self.place.process(fail, max_retries=0)
        assert await process.batch(hints(*task_ids), Context().left) == []
        return self.place.queues.receive(self.place.queues.dead)


@pytest.fixture
async def monitored(emulator: Emulator, clock: Clock) -> AsyncIterator[Monitored]:
    async with place_in(emulator.url, clock) as place:
        yield Monitored(place)
        await must_add_up(place.ledger)


async def test_a_death_is_a_line_with_its_payload_as_it_was_submitted(monitored: Monitored) -> None:
    payload = '{"n":12345678901234567890.10,"name":"ünï"}'
    records = await monitored.bury("t", payload=payload)

    assert await monitored.deaths.batch(records) == []

    [line] = monitored.log.lines
    assert f'"payload":{payload}'.encode() in line
    [told] = monitored.log.told()
    assert (
        told.items()
        >= {
            "level": "error",
            "event": "task.dead_lettered",
            "taskId": "t",
            "error": {"type": "ValueError", "message": "no"},
            "attemptCount": 1,
        }.items()
    )


async def test_a_report_that_was_broken_by_hand_keeps_no_other_from_being_made(
    monitored: Monitored,
) -> None:
    first, second = await monitored.bury("a", "b")
    key = report_key(json.loads(first["body"])["reportId"])
    calls = monitored.place.calls
    whole = await calls.get(key)
    assert whole is not None
    await calls.write(Put({**whole, "free_at": None}))

    assert await monitored.deaths.batch([first, second]) == [first["messageId"]]

    assert len(monitored.log.lines) == 1
    await calls.write(Put(whole))


async def test_what_a_purge_took_from_a_report_keeps_no_other_from_being_made(
    monitored: Monitored,
) -> None:
    records = await monitored.bury("a", "b", payload=json.dumps({"text": "x" * 9000}))
    names = {json.loads(each["body"])["taskId"]: each for each in records}
    await monitored.place.calls.delete_many([payload_key("a", 0)])

    assert await monitored.deaths.batch([names["a"], names["b"]]) == []

    told = {line["taskId"]: line["payload"] for line in monitored.log.told()}
    assert told["a"] == {"purged": True}
    assert told["b"] == {"text": "x" * 9000}
    await monitored.place.ledger.redrive("a", None, None, "{}")


async def test_a_death_that_is_told_twice_is_logged_once(monitored: Monitored) -> None:
    records = await monitored.bury("t")

    assert await monitored.deaths.batch([*records, *records]) == []
    assert await monitored.deaths.batch(records) == []
    monitored.place.clock.advance(3600)
    assert await monitored.deaths.batch(records) == []

    assert len(monitored.log.lines) == 1
    assert await monitored.place.ledger.claim_reports(10, SECOND) == []


async def test_after_a_crash_between_logging_and_recording_it_is_logged_again_and_recorded_once(
    monitored: Monitored,
) -> None:
    records = await monitored.bury("t")
    monitored.ledger.plan = {"reported": ["before"]}

    assert await monitored.deaths.batch(records) == [records[0]["messageId"]]
    monitored.restart()
    assert await monitored.deaths.batch(records) == []  # still leased: nobody else reports it
    assert len(monitored.log.lines) == 1

    monitored.place.clock.advance(LEASE / SECOND + 1)
    assert await monitored.deaths.batch(records) == []
    assert await monitored.deaths.batch(records) == []

    assert [line["taskId"] for line in monitored.log.told()] == ["t", "t"]
    assert await monitored.place.ledger.claim_reports(10, SECOND) == []


async def test_a_death_logged_but_not_recorded_is_recorded_by_the_same_sandbox_without_a_line(
    monitored: Monitored,
) -> None:
    records = await monitored.bury("t")
    monitored.ledger.plan = {"reported": ["before"]}
    await monitored.deaths.batch(records)

    assert await monitored.deaths.batch(records) == []

    assert len(monitored.log.lines) == 1
    monitored.place.clock.advance(LEASE / SECOND + 1)
    assert await monitored.place.ledger.claim_reports(10, SECOND) == []


async def test_a_death_whose_message_was_lost_is_announced_again_by_the_sweep(
    monitored: Monitored,
) -> None:
    await monitored.bury("t")
    monitored.place.queues.taken(monitored.place.queues.dead)
    monitored.place.clock.advance(400)

    assert await monitored.place.ledger.hint_deaths(10) == 1

    records = monitored.place.queues.receive(monitored.place.queues.dead)
    assert await monitored.deaths.batch(records) == []
    assert [line["taskId"] for line in monitored.log.told()] == ["t"]


async def test_a_line_that_cannot_be_written_is_no_report(monitored: Monitored) -> None:
    records = await monitored.bury("a", "b", "c")
    monitored.log.broken = 1

    again = await monitored.deaths.batch(records)

    assert len(again) == 1
    monitored.place.clock.advance(LEASE / SECOND + 1)
    back = [one for one in records if one["messageId"] in again]
    assert await monitored.deaths.batch(back) == []
    assert sorted(line["taskId"] for line in monitored.log.told()) == ["a", "b", "c"]


async def test_while_the_ledger_is_away_messages_go_back(monitored: Monitored) -> None:
    records = await monitored.bury("a", "b")
    monitored.ledger.plan = {"claim_report": ["before"]}

    again = await monitored.deaths.batch(records)

    assert again == [records[0]["messageId"]]
    assert len(monitored.log.lines) == 1


async def test_a_task_that_nothing_could_be_decided_on_is_hinted_again_a_little_later(
    monitored: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    await monitored.place.submit("t")
    sent: list[Hint] = []

    async def keep(hints: Sequence[Hint]) -> None:
        sent.extend(hints)

    monkeypatch.setattr(monitored.place.queue, "due", keep)

    assert await monitored.deaths.batch(hints("t")) == []

    assert sent == [Hint("t", RETURN_DELAY)]
    assert monitored.log.lines == []


async def test_a_task_that_only_workers_which_claim_take_is_not_hinted_again(
    monitored: Monitored,
) -> None:
    await monitored.place.submit("t", type="mail")
    monitored.place.queues.taken(monitored.place.queues.work)
    await monitored.place.ledger.change("mail", Change(pull=True))

    assert await monitored.deaths.batch(hints("t")) == []

    assert (await monitored.place.queue.depths()).work == 0  # none that is held back either
    assert monitored.log.lines == []


async def test_where_it_cannot_be_hinted_its_message_stays(
    monitored: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    await monitored.place.submit("t")

    async def away(hints: Sequence[Hint]) -> None:
        raise QueueUnavailable("SQS is away")

    monkeypatch.setattr(monitored.place.queue, "due", away)
    [message] = hints("t")

    assert await monitored.deaths.batch([message]) == [message["messageId"]]


async def test_a_message_of_a_task_that_is_over_says_nothing_new(monitored: Monitored) -> None:
    await monitored.place.submit("t")
    await monitored.place.process(succeed).batch(hints("t"), Context().left)
    monitored.place.queues.taken(monitored.place.queues.work)

    assert await monitored.deaths.batch(hints("t")) == []

    assert monitored.place.queues.taken(monitored.place.queues.work) == []
    assert await monitored.place.states("t") == [State.SUCCEEDED]


async def test_what_is_not_ours_is_kept_and_logged_without_what_it_says(
    monitored: Monitored, caplog: pytest.LogCaptureFixture
) -> None:
    strangers = [record("hello, secret"), record("{}"), *hints("nobody")]
    strangers.append(record('{"taskId": "nobody", "reportId": 5}'))

    assert await monitored.deaths.batch(strangers) == []
    assert await monitored.deaths.batch(strangers[:1]) == []  # delivered twice

    kept = await monitored.strangers.all()
    assert kept == {one["messageId"]: one["body"] for one in strangers}
    assert {one.message for one in caplog.records} == {"message.unparseable"}
    assert "secret" not in caplog.text
    assert monitored.log.lines == []


async def test_a_stranger_too_large_for_an_item_is_kept_in_part(monitored: Monitored) -> None:
    large = record("é" * 400_000)

    assert await monitored.deaths.batch([large]) == []

    [body] = (await monitored.strangers.all()).values()
    assert body.startswith("é" * 100_000)
    assert body.endswith("[cut]")


async def test_a_stranger_that_cannot_be_kept_goes_back(
    monitored: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(write: object) -> None:
        raise LedgerUnavailable("it is away")

    monkeypatch.setattr(monitored.place.calls, "write", away)
    stranger = record("hello")

    assert await monitored.deaths.batch([stranger]) == [stranger["messageId"]]
