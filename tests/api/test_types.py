"""What people set for a type: pauses, limits, breakers; and who works on what."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.checks import parameters, pointers, problem
from tests.conformance.stage import LEASE, Clock, Stage
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import MOST_SHOWN, Worker
from unlost.limits.control import Control
from unlost.task import SECOND, WEBHOOK_TYPE
from unlost.times import rfc3339

NOTHING = {
    "pause": None, "limit": None, "keyLimit": None, "breaker": None, "circuit": None,
    "circuitSince": None, "opensUntil": None, "ratePerSecond": None, "keyRatePerSecond": None,
    "pull": False,
}  # fmt: skip
BREAKER = {
    "failureShare": 0.25, "windowSeconds": 90.5, "minimum": 2, "openSeconds": 0.5, "probes": 3,
    "excuse": True,
}  # fmt: skip
USUAL = {
    "failureShare": 0.5, "windowSeconds": 60, "minimum": 10, "openSeconds": 30, "probes": 1,
    "excuse": False,
}  # fmt: skip


async def types(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await api.get("/types")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["types"]
    return found


async def change(api: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    answer = await api.patch("/types/mail", json=members)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_pause_says_since_when_by_whom_and_why_and_holds_until_it_is_resumed(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.submit("t", type="mail")
    why = {"by": "Ada é", "reason": "the mail\nis down"}

    paused = await api.post("/types/mail/pause", json=why)

    pause = why | {"at": rfc3339(clock.now)}
    assert paused.status_code == 200
    assert paused.json() == {"type": "mail"} | NOTHING | {"pause": pause}
    assert await types(api) == [paused.json()]
    assert await stage.claim() == []
    clock.advance(5)
    again = await api.post("/types/mail/pause", json={"by": "bob"})
    assert again.json()["pause"] == pause
    resumed = await api.post("/types/mail/resume")
    assert resumed.json() == {"type": "mail"} | NOTHING
    assert await types(api) == []
    assert len(await stage.claim()) == 1


@pytest.mark.parametrize("call", ["pause", "resume", ""])
async def test_what_was_set_is_told_to_the_log_though_it_cannot_be_shown(
    api: httpx.AsyncClient,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    call: str,
) -> None:
    async def away() -> list[Control]:
        raise LedgerUnavailable("away")

    monkeypatch.setattr(stage.ledger, "controls", away)
    caplog.set_level("INFO")
    path = f"/types/mail/{call}" if call else "/types/mail"

    answer = await api.request("POST" if call else "PATCH", path, json={})

    problem(answer, 503)
    assert [vars(one)["ids"] for one in caplog.records if one.getMessage() == "api.acted"] == [
        ["mail"]
    ]


async def test_a_pause_needs_no_body_and_a_resume_no_pause(api: httpx.AsyncClient) -> None:
    assert (await api.post("/types/mail/resume")).json() == {"type": "mail"} | NOTHING
    pause = (await api.post("/types/mail/pause")).json()["pause"]
    assert (pause["by"], pause["reason"]) == (None, None)


async def test_who_resumes_and_why_is_logged(
    api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert (await api.post("/types/mail/pause")).status_code == 200
    for wrong, status in ((b"{", 400), (b"[]", 422), (b'{"who": "ann"}', 422)):
        json = {"content-type": "application/json"}
        problem(await api.post("/types/mail/resume", content=wrong, headers=json), status)
    assert [one["pause"] is None for one in await types(api)] == [False]
    said = {"by": "ann", "reason": "the mail server is back"}
    assert (await api.post("/types/mail/resume", json=said)).status_code == 200
    acted = [vars(one) for one in caplog.records if one.getMessage() == "api.acted"]
    assert [(one["call"], one["by"], one["reason"]) for one in acted] == [
        ("pauseType", None, None), ("resumeType", said["by"], said["reason"]),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a/b", "mail?", "é", "x" * 100, "pause", ".a"])
async def test_any_type_works_in_a_path_when_percent_encoded(
    api: httpx.AsyncClient, name: str
) -> None:
    answer = await api.post(f"/types/{quote(name, safe='')}/pause")

    assert answer.json()["type"] == name
    assert [one["type"] for one in await types(api)] == [name]


@pytest.mark.parametrize("name", ["%00", "x" * 101, "a%0Ab"])
async def test_what_can_be_no_type_is_404(api: httpx.AsyncClient, name: str) -> None:
    problem(await api.post(f"/types/{name}/pause"), 404)
    problem(await api.post(f"/types/{name}/resume"), 404)
    problem(await api.patch(f"/types/{name}", json={"limit": 1}), 404)
    assert await types(api) == []


async def test_rates_hold_for_claims_and_null_removes_them(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    for number in range(8):
        await stage.submit(f"t{number}", type="mail", key="ab"[number % 2])

    rates = {"ratePerSecond": 3, "keyRatePerSecond": 1}
    assert await change(api, **rates) == {"type": "mail"} | NOTHING | rates
    assert len(await stage.claim(9)) == 2
    assert await change(api, keyRatePerSecond=None) == {"type": "mail"} | NOTHING | {
        "ratePerSecond": 3
    }
    assert len(await stage.claim(9)) == 1
    clock.advance(1)
    assert len(await stage.claim(9)) == 3
    assert await change(api, ratePerSecond=None) == {"type": "mail"} | NOTHING
    assert len(await stage.claim(9)) == 2


@pytest.mark.parametrize("wrong", ["0", "0.0009", "100001", "-1", '"1"', "true", "[]", "1e400"])
async def test_a_rate_out_of_bounds_is_refused(api: httpx.AsyncClient, wrong: str) -> None:
    body = f'{{"ratePerSecond": {wrong}, "keyRatePerSecond": {wrong}}}'
    answer = await api.patch("/types/mail", content=body)
    assert pointers(answer) == ["#/keyRatePerSecond", "#/ratePerSecond"]
    assert await types(api) == []


async def test_rates_are_kept_as_they_were_given(api: httpx.AsyncClient) -> None:
    given = {"ratePerSecond": 0.001, "keyRatePerSecond": 99_999.99}
    assert await change(api, **given) == {"type": "mail"} | NOTHING | given


async def test_only_who_claims_by_the_api_takes_tasks_of_a_type_that_is_pulled(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("t", type="mail")
    assert await change(api, pull=True) == {"type": "mail"} | NOTHING | {"pull": True}
    assert [one["type"] for one in await types(api)] == ["mail"]
    assert await stage.claim(9) == []
    assert (await change(api, limit=3))["pull"] is True
    assert await change(api, pull=False, limit=None) == {"type": "mail"} | NOTHING
    assert await types(api) == []
    assert len(await stage.claim(9)) == 1


@pytest.mark.parametrize("wrong", ["null", "1", '"true"'])
async def test_pull_is_true_or_false(api: httpx.AsyncClient, wrong: str) -> None:
    answer = await api.patch("/types/mail", content=f'{{"pull": {wrong}}}')
    assert pointers(answer) == ["#/pull"]


async def test_webhooks_are_nobodys_to_pull(api: httpx.AsyncClient) -> None:
    path = f"/types/{quote(WEBHOOK_TYPE)}"
    assert pointers(await api.patch(path, json={"pull": True})) == ["#/pull"]
    assert (await api.patch(path, json={"pull": False, "limit": 2})).json()["limit"] == 2


async def test_limits_hold_for_claims_and_null_removes_them(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    for number in range(6):
        await stage.submit(f"t{number}", type="mail", key="ab"[number % 2])

    assert await change(api, limit=3.0, keyLimit=1) == {"type": "mail"} | NOTHING | {
        "limit": 3, "keyLimit": 1,
    }  # fmt: skip
    assert [one.task_id for one in await stage.claim(9)] == ["t0", "t1"]
    assert (await change(api, keyLimit=None))["limit"] == 3
    assert [one.task_id for one in await stage.claim(9)] == ["t2"]
    assert await change(api, limit=None) == {"type": "mail"} | NOTHING
    assert len(await stage.claim(9)) == 3


async def test_what_a_change_leaves_out_stays(api: httpx.AsyncClient) -> None:
    await change(api, limit=100_000, breaker=BREAKER)
    await api.post("/types/mail/pause", json={"by": "ann"})

    found = await change(api, keyLimit=100_000)

    assert (found["limit"], found["keyLimit"]) == (100_000, 100_000)
    assert (found["breaker"], found["circuit"]) == (BREAKER, "closed")
    assert found["pause"]["by"] == "ann"
    assert await change(api) == found


async def test_a_circuit_is_seen_to_open_to_be_half_open_and_to_close(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.submit(*"abcd", type="mail")
    await change(api, breaker={"minimum": 2})
    for attempt in await stage.claim(2):
        await stage.retry(attempt, wait=3600)

    [opened] = await types(api)
    since, until = rfc3339(clock.now), rfc3339(clock.now + 30 * SECOND)
    assert opened["breaker"] == USUAL | {"minimum": 2}
    assert (opened["circuit"], opened["circuitSince"]) == ("open", since)
    assert opened["opensUntil"] == until
    assert await stage.claim(9) == []
    clock.advance(30)
    [half] = await types(api)
    assert (half["circuit"], half["circuitSince"], half["opensUntil"]) == ("half_open", since, None)
    [probe] = await stage.claim(9)
    await stage.succeed(probe)
    [closed] = await types(api)
    assert (closed["circuit"], closed["circuitSince"], closed["opensUntil"]) == (
        "closed", None, None,
    )  # fmt: skip
    assert await change(api, breaker=None) == {"type": "mail"} | NOTHING


@pytest.mark.parametrize("bounds", [(1, 86_400, 100_000, 86_400, 1_000), (1e-6, 1, 1, 0.1, 1)])
async def test_a_breaker_is_taken_up_to_its_bounds(
    api: httpx.AsyncClient, bounds: tuple[float, ...]
) -> None:
    breaker = dict(zip(USUAL, (*bounds, True), strict=True))

    assert (await change(api, breaker=breaker))["breaker"] == breaker


async def test_a_share_that_no_double_can_hold_is_not_taken_for_none(
    api: httpx.AsyncClient,
) -> None:
    answer = await api.patch("/types/mail", content='{"breaker": {"failureShare": 1e-400}}')

    assert answer.json()["breaker"]["failureShare"] > 0


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("[]", ["#"]),
        ('{"nope": 1}', ["#/nope"]),
        ('{"pause": null}', ["#/pause"]),
        ('{"limit": 0}', ["#/limit"]),
        ('{"limit": 100001, "keyLimit": 1.5}', ["#/keyLimit", "#/limit"]),
        ('{"limit": "1", "keyLimit": true}', ["#/keyLimit", "#/limit"]),
        ('{"breaker": true}', ["#/breaker"]),
        ('{"breaker": []}', ["#/breaker"]),
        ('{"breaker": {"nope": 1}, "limit": -1}', ["#/breaker/nope", "#/limit"]),
        ('{"breaker": {"failureShare": 0}}', ["#/breaker/failureShare"]),
        ('{"breaker": {"failureShare": 1.01}}', ["#/breaker/failureShare"]),
        ('{"breaker": {"failureShare": null}}', ["#/breaker/failureShare"]),
        ('{"breaker": {"excuse": 1}}', ["#/breaker/excuse"]),
        ('{"breaker": {"windowSeconds": 0.5}}', ["#/breaker/windowSeconds"]),
        ('{"breaker": {"windowSeconds": 86401}}', ["#/breaker/windowSeconds"]),
        ('{"breaker": {"minimum": 0, "probes": 0}}', ["#/breaker/minimum", "#/breaker/probes"]),
        ('{"breaker": {"minimum": 100001, "probes": 1001}}',
         ["#/breaker/minimum", "#/breaker/probes"]),
        ('{"breaker": {"openSeconds": 0.09}}', ["#/breaker/openSeconds"]),
        ('{"breaker": {"openSeconds": 86400.1}}', ["#/breaker/openSeconds"]),
    ],
)  # fmt: skip
async def test_a_bad_change_is_422_and_sets_nothing(
    api: httpx.AsyncClient, body: str, where: list[str]
) -> None:
    assert pointers(await api.patch("/types/mail", content=body)) == where
    assert await types(api) == []


async def test_what_is_no_json_or_asks_too_much_is_refused(api: httpx.AsyncClient) -> None:
    problem(await api.patch("/types/mail", content='{"limit": 1, "limit": 2}'), 400)
    problem(await api.patch("/types/mail"), 400)
    problem(await api.post("/types/mail/pause", content="nope"), 400)
    assert pointers(await api.post("/types/mail/pause", json={"by": "x" * 1001, "until": 1})) == [
        "#/by", "#/until",
    ]  # fmt: skip
    assert parameters(await api.post("/types/mail/pause?by=ann")) == ["by"]
    for path in ("/types", "/workers"):
        assert parameters(await api.get(f"{path}?limit=1")) == ["limit"]
    assert await types(api) == []


async def test_workers_are_listed_with_what_they_run(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    assert (await api.get("/workers")).json() == {"workers": []}
    await stage.submit(*(f"t{number:02}" for number in range(MOST_SHOWN + 5)), type="mail")
    await stage.ledger.enlist(Worker("alone", None, alone=True), 2 * LEASE)
    await stage.claim(MOST_SHOWN + 5, worker="w", types=("mail", "sms"))

    alone, worker = (await api.get("/workers")).json()["workers"]

    assert alone == {
        "id": "alone", "types": None, "alone": True, "starting": False, "pull": False,
        "running": [], "runningCount": 0,
        "leaseUntil": rfc3339(clock.now + 2 * LEASE),
    }  # fmt: skip
    assert (worker["id"], worker["types"], worker["alone"]) == ("w", ["mail", "sms"], False)
    assert worker["runningCount"] == MOST_SHOWN + 5
    assert len(worker["running"]) == MOST_SHOWN
    assert worker["running"][0] == {
        "taskId": "t00", "type": "mail", "attempt": 1, "startedAt": rfc3339(clock.now),
    }  # fmt: skip
    clock.advance(LEASE / SECOND)
    assert [one["id"] for one in (await api.get("/workers")).json()["workers"]] == ["alone"]
    await stage.ledger.enlist(Worker("slow", ()), LEASE)
    slow = (await api.get("/workers")).json()["workers"][1]
    assert (slow["id"], slow["types"], slow["starting"]) == ("slow", [], True)
    await stage.ledger.enlist(Worker("away", ("mail",), pull=True), LEASE)
    _, away, _ = (await api.get("/workers")).json()["workers"]
    assert (away["id"], away["pull"]) == ("away", True)
