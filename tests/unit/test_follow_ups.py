"""What handlers submit with their success, in virtual time."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.stage import Stage, Unreliable, stage, why
from tests.unit.virtual import clock, in_virtual_time
from unlost import carried
from unlost.carried import Carried, Parent
from unlost.handlers import Handlers, Task
from unlost.ledger.values import Query
from unlost.schedule.schedule import Move, Plan, Schedule
from unlost.task import DEFAULT_TYPE, WEBHOOK_TYPE, Outcome, Record, State
from unlost.telemetry.measuring import Recorder

BIG = "x" * (200 * 1024)


async def family(play: Stage, parent: str) -> list[Record]:
    page = await play.ledger.page(Query(parent=parent))
    return page.records[::-1]


def of_type(kind: str, function: Any) -> Handlers:
    handlers = Handlers()
    handlers.task(kind, max_retries=1)(function)
    return handlers


@pytest.mark.parametrize("sync", [True, False])
@in_virtual_time
async def test_what_a_handler_submits_follows_from_its_success(sync: bool) -> None:
    given: list[str] = []

    def work(task: Task) -> None:
        given.append(task.submit({"n": 1}))
        at = datetime(2100, 1, 1, tzinfo=UTC)
        named = task.submit(
            {"n": 2}, "named", type="mail", priority=3, run_at=at, max_retries=0,
            timeout_seconds=2.5, key="ann", callback_url=None,
        )  # fmt: skip
        given.append(named)

    async def work_async(task: Task) -> None:
        work(task)

    async with stage(of_type("order", work if sync else work_async)) as play:
        text = carried.write(Carried(submitted_by="shop", traceparent="00-a-b-01"))
        await play.submit("a", type="order", carried=text)
        assert (await play.ended("a")).state is State.SUCCEEDED
        first, second = await family(play, "a")
    assert [first.task_id, second.task_id] == given
    assert given[0].startswith("follow-up_")
    assert given[1] == "named"
    assert (first.type, second.type, second.priority) == (DEFAULT_TYPE, "mail", 3)
    assert (second.max_retries, second.timeout, second.key) == (0, 2.5, "ann")
    assert second.due_at == 4_102_444_800_000_000
    for one in (first, second):
        along = carried.read(one.carried)
        assert along == Carried(submitted_by="shop", traceparent="00-a-b-01", parent=Parent("a", 1))


@in_virtual_time
async def test_nothing_follows_from_an_attempt_that_fails_or_whose_result_is_refused() -> None:
    async def work(task: Task) -> object:
        task.submit({"attempt": task.attempt})
        if task.id == "big":
            return BIG
        if task.attempt == 1:
            raise ValueError("no")
        return None

    async with stage(of_type("order", work)) as play:
        await play.submit("a", "big", type="order")
        assert (await play.ended("a")).state is State.SUCCEEDED
        assert why(await play.ended("big")).type == "ResultTooLarge"
        (one,) = await family(play, "a")
        assert carried.read(one.carried).parent == Parent("a", 2)
        assert await family(play, "big") == []
        assert (await play.ledger.counts()).accepted == 3


@in_virtual_time
async def test_where_the_settlements_answer_is_lost_they_follow_once() -> None:
    async def work(task: Task) -> None:
        task.submit({"n": 1})
        task.submit({"n": 2}, "named")

    ledger, recorder = Unreliable(clock), Recorder()
    ledger.failures["settle"] = ["after", "before", "after"]
    async with stage(of_type("order", work), ledger=ledger, recorder=recorder) as play:
        await play.submit("a", type="order")
        assert (await play.ended("a")).state is State.SUCCEEDED
        await play.drained()
        assert len(await family(play, "a")) == 2
        assert (await ledger.counts()).accepted == 3
    assert recorder.take().types["order"].outcomes == {Outcome.SUCCEEDED: 1}


@pytest.mark.parametrize("lost", [[], ["after"]])
@in_virtual_time
async def test_a_conflict_makes_the_task_dead_at_once_and_counts_as_a_failure(
    lost: list[str],
) -> None:
    async def work(task: Task) -> None:
        task.submit({"n": 1})
        task.submit({"n": 2}, "known")

    ledger, recorder = Unreliable(clock), Recorder()
    ledger.failures["settle"] = lost
    async with stage(of_type("order", work), ledger=ledger, recorder=recorder) as play:
        await play.submit("known", payload='{"n": 3}', type="nobody's")
        await play.submit("a", type="order")
        record = await play.ended("a")
        assert record.state is State.DEAD
        assert len(record.attempts) == 1
        assert why(record).type == "FollowUpConflict"
        assert "known" in why(record).message
        await play.drained()
        assert await family(play, "a") == []
    counted = recorder.take().types["order"]
    assert (counted.outcomes, counted.deaths) == ({Outcome.FAILED: 1}, 1)


@in_virtual_time
async def test_an_id_of_a_schedules_tasks_is_a_conflict_as_it_is_for_a_client() -> None:
    async def work(task: Task) -> None:
        task.submit({}, task.payload["id"])

    ledger = Unreliable(clock)
    plan = Plan("mail", "{}", b"d", every=10)
    await ledger.move_schedules([Move(Schedule("nightly", plan, 0, 0, None, "", 1), 0)])
    async with stage(of_type("order", work), ledger=ledger) as play:
        for name, mine in (("a", "nightly@2026-10-25T00:30:00Z"), ("b", "x@2026-10-25T00:30:00Z")):
            await play.submit(name, payload=json.dumps({"id": mine}), type="order")
        assert why(await play.ended("a")).type == "FollowUpConflict"
        assert (await play.ended("b")).state is State.SUCCEEDED
        assert await family(play, "a") == []
        assert len(await family(play, "b")) == 1


@in_virtual_time
async def test_a_webhook_tells_of_the_end_that_there_was() -> None:
    async def work(task: Task) -> None:
        task.submit({}, "known")

    settings: dict[str, Any] = {
        "webhook_url": "https://example.com/",
        "webhook_secret": "whsec_" + "A" * 32,
    }
    async with stage(of_type("order", work), webhook_events="dead", **settings) as play:
        await play.submit("known", payload='{"n": 3}', type="nobody's")
        await play.submit("a", type="order")
        assert (await play.ended("a")).state is State.DEAD
        page = await play.ledger.page(Query(type=WEBHOOK_TYPE))
        (notice,) = page.records
        told = await play.record(notice.task_id)
        assert '"FollowUpConflict"' in (told.payload or "")


@in_virtual_time
async def test_what_no_submit_may_ask_for_is_refused_at_once() -> None:
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        ([], {}, "dict"), ({"a": {1}}, {}, "set"), ({"a": float("nan")}, {}, "nan"),
        ({"a": "x" * 262_144}, {}, "262144"), ({}, {"task_id": ""}, "task_id"),
        ({}, {"task_id": ".."}, "task_id"), ({}, {"task_id": "a\nb"}, "task_id"),
        ({}, {"task_id": 7}, "task_id"), ({}, {"type": "unlost.webhook"}, "type"),
        ({}, {"type": ""}, "type"), ({}, {"priority": 101}, "priority"),
        ({}, {"priority": "high"}, "priority"), ({}, {"max_retries": -1}, "max_retries"),
        ({}, {"timeout_seconds": 0}, "timeout_seconds"), ({}, {"key": ""}, "key"),
        ({}, {"delay_seconds": 1, "run_at": "2030-01-01T00:00:00Z"}, "run_at"),
        ({}, {"run_at": datetime(2030, 1, 1, tzinfo=UTC).replace(tzinfo=None)}, "zone"),
        ({}, {"run_at": "soon"}, "run_at"),
        ({}, {"callback_url": "https://example.com"}, "callback_url"),
        ({}, {"taskId": "x"}, "taskId"), ({}, {"parent": "x"}, "parent"),
        ({}, {"delay_seconds": {1}}, "set"),
    ]  # fmt: skip
    told: list[str] = []

    async def work(task: Task) -> None:
        for payload, options, _ in wrong:
            with pytest.raises(ValueError, match=r".") as refused:
                task.submit(payload, **options)
            told.append(str(refused.value))

    async with stage(of_type("order", work)) as play:
        await play.submit("a", type="order")
        assert (await play.ended("a")).state is State.SUCCEEDED
        assert await family(play, "a") == []
    assert [word for (_, _, word), said in zip(wrong, told, strict=True) if word not in said] == []


@pytest.mark.parametrize("name", ["50%", "what?", "a/cancel"])
@in_virtual_time
async def test_on_dynamodb_none_has_a_name_that_its_gateway_misreads(name: str) -> None:
    async def work(task: Task) -> None:
        task.submit({}, name)

    for home, state in (("dynamodb://t", State.DEAD), ("sqlite:///t.db", State.SUCCEEDED)):
        async with stage(of_type("order", work), home=home) as play:
            await play.submit("a", type="order", max_retries=0)
            assert (await play.ended("a")).state is state


@in_virtual_time
async def test_no_more_than_40_and_1_mib_of_payloads() -> None:
    async def work(task: Task) -> None:
        count, size = (41, 10) if task.id == "many" else (5, 250 * 1024)
        for number in range(count):
            task.submit({"n": number, "text": "x" * size})

    async with stage(of_type("order", work)) as play:
        await play.submit("many", "much", type="order", max_retries=0)
        assert "at most 40 tasks" in why(await play.ended("many")).message
        assert "1048576 bytes" in why(await play.ended("much")).message
        assert (await play.ledger.counts()).accepted == 2


@in_virtual_time
async def test_heavy_settlements_go_to_the_ledger_in_several_calls() -> None:
    gate = asyncio.Event()

    async def work(task: Task) -> None:
        await gate.wait()
        for _ in range(4):
            task.submit({"text": BIG})

    async with stage(of_type("order", work), concurrency=20) as play:
        names = [f"t{number}" for number in range(20)]
        await play.submit(*names, type="order")
        for name in names:
            await play.running(name)
        gate.set()
        for name in names:
            assert (await play.ended(name)).state is State.SUCCEEDED
        assert max(play.ledger.sizes["settle"]) == 6
        assert (await play.ledger.counts()).accepted == 20 + 80


@in_virtual_time
async def test_once_the_attempt_is_over_nothing_can_be_submitted() -> None:
    kept: list[Task] = []

    async def work(task: Task) -> None:
        kept.append(task)
        task.submit({})

    async with stage(of_type("order", work)) as play:
        await play.submit("a", type="order")
        await play.ended("a")
        with pytest.raises(RuntimeError, match="over"):
            kept[0].submit({})
        assert len(await family(play, "a")) == 1


def test_the_rules_are_those_of_a_submit_over_http() -> None:
    """Payload and options make the same task, by value, as the same in JSON."""
    from unlost.api.request import submission as reading
    from unlost.asked.submission import OWN
    from unlost.handlers.follow_ups import FollowUps

    mine = FollowUps("secret", OWN)
    options = {"type": "m", "priority": 2.0, "delay_seconds": 1.5, "max_retries": 3}
    mine.add({"n": 1.0, "s": "é"}, "a", options)
    body = (
        '{"taskId":"a","payload":{"s":"é","n":1},"type":"m","priority":2,"delaySeconds":1.50,'
        '"maxRetries":3}'
    )
    (one,) = mine.tasks
    assert one.digest == reading.read(body.encode()).digest
    assert one.delay == reading.read(body.encode()).delay
    mine.add({"n": 1}, "b", {})
    assert mine.tasks[1].digest == reading.read(b'{"taskId":"b","payload":{"n":1}}').digest
