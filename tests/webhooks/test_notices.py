"""Who is told of which ends, on every ledger."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest

from tests.conformance.stage import BOOM, Stage, ended, must_add_up
from unlost import carried
from unlost.carried import Carried
from unlost.ledger.values import Claimed, Query, Settled, Settlement
from unlost.policy import WORKER_LOST, Limits
from unlost.settings import Settings
from unlost.task import WEBHOOK_TYPE, Event, Outcome, Record, State
from unlost.upkeep.sweeper import Sweeper
from unlost.webhooks.notices import MAX_RESULT, RETRIES, Notices

URL = "https://me.example.com/hook"
TOLD = carried.write(Carried(URL))
FOR_ALL = Settings(webhook_url="https://all.example.com/")
DEATHS_FOR_ALL = Settings(webhook_url="https://all.example.com/", webhook_events="dead")
OWN_ONLY = Settings()


def succeeded(claimed: Claimed, result: str | None = '{"n":1.50}') -> Settlement:
    done = ended(claimed, Outcome.SUCCEEDED, Event.SUCCEED)
    return msgspec.structs.replace(done, result=result)


def died(claimed: Claimed) -> Settlement:
    return ended(claimed, Outcome.FAILED, Event.DIE, error=BOOM)


async def settle(stage: Stage, claimed: Claimed, end: Settlement, settings: Settings) -> None:
    assert await stage.ledger.settle([Notices(settings).after(end, claimed)]) == [Settled.HELD]


async def deliveries(stage: Stage) -> list[Record]:
    page = await stage.ledger.page(Query(type=WEBHOOK_TYPE))
    return [await stage.record(one.task_id) for one in page.records]


def payload(record: Record) -> Any:
    return json.loads(record.payload or "null")


async def test_a_success_is_told_to_the_tasks_own_url(stage: Stage) -> None:
    await stage.submit("a", type="mail", carried=TOLD)
    (a,) = await stage.claim()
    await settle(stage, a, succeeded(a), OWN_ONLY)
    (told,) = await deliveries(stage)
    assert (told.state, told.max_retries, told.key) == (
        State.QUEUED, RETRIES, "me.example.com",
    )  # fmt: skip
    assert '"result":{"n":1.50}' in str(told.payload)  # as the handler gave it
    assert payload(told) == {
        "type": "task.succeeded",
        "url": URL,
        "data": {
            "taskId": "a", "type": "mail", "state": "succeeded", "attempt": 1, "redriveCount": 0,
            "submittedAt": "2023-11-14T22:13:20.000000Z", "result": {"n": 1.5},
        },
    }  # fmt: skip
    await must_add_up(stage.ledger)


async def test_a_death_is_told_with_its_error_but_no_traceback_and_no_payload(
    stage: Stage,
) -> None:
    await stage.submit("a", payload='{"secret": 1}', carried=TOLD)
    (a,) = await stage.claim()
    await settle(stage, a, died(a), OWN_ONLY)
    (told,) = await deliveries(stage)
    data = payload(told)["data"]
    assert (payload(told)["type"], data["state"]) == ("task.dead_lettered", "dead")
    assert data["error"] == {"type": BOOM.type, "message": BOOM.message}
    assert "result" not in data
    assert "secret" not in str(told.payload)


async def test_what_is_no_end_is_not_told(stage: Stage) -> None:
    await stage.submit("a", carried=TOLD)
    for event, outcome in ((Event.RETRY, Outcome.FAILED), (Event.RELEASE, Outcome.RELEASED)):
        (a,) = await stage.claim()
        await settle(stage, a, ended(a, outcome, event), FOR_ALL)
    await stage.ledger.cancel("a", None, None)
    assert await deliveries(stage) == []


async def test_who_names_no_url_is_told_to_the_services_if_it_has_one(stage: Stage) -> None:
    await stage.submit("a", "b")
    a, b = await stage.claim(2)
    await settle(stage, a, succeeded(a), OWN_ONLY)
    assert await deliveries(stage) == []
    await settle(stage, b, succeeded(b), FOR_ALL)
    (told,) = await deliveries(stage)
    assert "url" not in payload(told)  # the service's own, as it will be when it is delivered


async def test_the_services_url_is_told_only_of_the_ends_that_were_chosen(stage: Stage) -> None:
    await stage.submit("a", "b", carried=carried.write(Carried()))
    a, b = await stage.claim(2)
    await settle(stage, a, succeeded(a), DEATHS_FOR_ALL)
    await settle(stage, b, died(b), DEATHS_FOR_ALL)
    assert [payload(one)["data"]["taskId"] for one in await deliveries(stage)] == [b.task_id]


async def test_a_tasks_own_url_takes_the_place_of_the_services(stage: Stage) -> None:
    await stage.submit("a", carried=TOLD)
    (a,) = await stage.claim()
    await settle(stage, a, succeeded(a), DEATHS_FOR_ALL)
    (told,) = await deliveries(stage)
    assert payload(told)["url"] == URL


async def test_nobody_is_told_of_a_deliverys_own_end(stage: Stage) -> None:
    await stage.submit("a", type=WEBHOOK_TYPE)
    (a,) = await stage.claim()
    await settle(stage, a, died(a), FOR_ALL)
    await stage.submit("b", type=WEBHOOK_TYPE)
    await stage.claim(worker="silent")
    await sweep(stage, FOR_ALL)
    assert sorted(one.task_id for one in await deliveries(stage)) == ["a", "b"]


async def test_each_end_is_told_once_also_after_a_redrive(stage: Stage) -> None:
    await stage.submit("a", carried=TOLD)
    (first,) = await stage.claim()
    await settle(stage, first, died(first), OWN_ONLY)
    await stage.ledger.redrive("a", None, None, None)
    (second,) = await stage.claim(types=("default",))
    done = Notices(OWN_ONLY).after(succeeded(second), second)
    assert await stage.ledger.settle([done, done]) == [Settled.HELD, Settled.REFUSED]
    assert await stage.ledger.settle([done]) == [Settled.REFUSED]
    told = [payload(one)["data"] for one in await deliveries(stage)]
    assert sorted((one["state"], one["redriveCount"], one["attempt"]) for one in told) == [
        ("dead", 0, 1), ("succeeded", 1, 2),
    ]  # fmt: skip
    await must_add_up(stage.ledger)


async def test_nobody_knows_a_deliverys_id_before(stage: Stage) -> None:
    await stage.submit("a", carried=TOLD)
    (a,) = await stage.claim()
    notices = Notices(OWN_ONLY)
    follow = notices.after(succeeded(a), a).follow
    other = msgspec.structs.replace(a, token="another")
    assert follow is not None
    assert follow == notices.after(succeeded(a), a).follow
    assert follow.task_id != getattr(notices.after(succeeded(other), other).follow, "task_id", "")
    assert "." not in follow.task_id


@pytest.mark.parametrize("size", [MAX_RESULT, MAX_RESULT + 1])
async def test_a_large_result_is_left_out_and_that_is_said(stage: Stage, size: int) -> None:
    await stage.submit("a", carried=TOLD)
    (a,) = await stage.claim()
    result = '"' + "x" * (size - 2) + '"'
    await settle(stage, a, succeeded(a, result), OWN_ONLY)
    (told,) = await deliveries(stage)
    data = payload(told)["data"]
    assert data.get("resultOmitted", False) is (size > MAX_RESULT)
    assert ("result" in data) is (size <= MAX_RESULT)


async def sweep(stage: Stage, settings: Settings) -> None:
    """Reap what workers hold whose lease is over."""
    stage.clock.advance(3600)
    await Sweeper(
        stage.ledger, settings, clock=stage.clock, monotonic=lambda: 0.0, random=Random(1)
    ).reap()


@pytest.mark.parametrize("settings", [OWN_ONLY, FOR_ALL])
async def test_a_death_by_a_lost_worker_is_told_the_same(stage: Stage, settings: Settings) -> None:
    await stage.submit("a", type="mail", carried=TOLD if settings is OWN_ONLY else None)
    await stage.claim(limits=Limits(1, 60.0))
    await sweep(stage, settings)
    assert await deliveries(stage) == []
    stage.clock.advance(3600)
    await stage.claim(limits=Limits(1, 60.0), alone=True)
    await sweep(stage, settings)
    (told,) = await deliveries(stage)
    assert payload(told)["data"] == {
        "taskId": "a", "type": "mail", "state": "dead", "attempt": 2, "redriveCount": 0,
        "submittedAt": "2023-11-14T22:13:20.000000Z",
        "error": {"type": WORKER_LOST.type, "message": WORKER_LOST.message},
    }  # fmt: skip
    assert told.submitted_at == (await stage.record("a")).updated_at
    await sweep(stage, settings)
    assert len(await deliveries(stage)) == 1
    await must_add_up(stage.ledger)


def test_what_another_version_carries_is_passed_over() -> None:
    assert carried.read('{"callbackUrl":"https://x.example/","later":[1]}').callback_url
    assert carried.read('{"later":"00-1"}') == Carried()
    assert carried.write(Carried()) is None


@pytest.mark.parametrize("text", ["", "{", "5", '{"callbackUrl": 5}'])
def test_what_nobody_could_carry_is_nothing(text: str) -> None:
    assert carried.read(text) == Carried()


async def test_a_delivery_is_of_the_key_that_submitted_its_task(stage: Stage) -> None:
    told = carried.write(Carried(URL, traceparent="00-1-2-03", submitted_by="shop"))
    await stage.submit("a", carried=told)
    await stage.submit("b", carried=TOLD)
    for claimed in await stage.claim(2):
        await settle(stage, claimed, succeeded(claimed), OWN_ONLY)
    found = {payload(one)["data"]["taskId"]: one.carried for one in await deliveries(stage)}
    assert found == {"a": carried.write(Carried(submitted_by="shop")), "b": None}
