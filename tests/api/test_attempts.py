"""Workers that claim by the API: what the calls give, and what each answer means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.attempts import CLAIM, claim, extend, one, settle, settled
from tests.api.checks import pointers, problem
from tests.conformance.stage import Clock, Stage
from unlost import carried, effects
from unlost.access.keys import Key, Secret, digest
from unlost.api.app import create_app
from unlost.carried import Carried, Scheduled
from unlost.effects import MAX_RESULT
from unlost.jsontext import MAX_DEPTH
from unlost.settings import Settings
from unlost.task import State

KEYS: dict[str, dict[str, Any]] = {
    "work": {"scopes": ["work"]},
    "other": {"scopes": ["work"]},
    "both": {"scopes": ["work", "submit"]},
    "mail": {"scopes": ["work", "submit"], "types": ("mail",)},
    "read": {"scopes": ["read", "submit", "operate", "metrics"]},
}


@pytest.fixture
async def guarded(stage: Stage, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """The API where keys are needed."""
    for name, bounds in KEYS.items():
        secret = (Secret(digest(name)),)
        await stage.ledger.add_key(
            Key(name, frozenset(bounds["scopes"]), 0, secret, bounds.get("types"))
        )
    app = create_app(stage.ledger, Settings(auth="keys"), clock)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://unlost.test") as client:
        yield client


def use(client: httpx.AsyncClient, key: str) -> httpx.AsyncClient:
    client.headers["Authorization"] = f"Bearer {key}"
    return client


async def test_an_attempt_comes_with_all_that_its_handler_needs(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    made = carried.write(Carried(schedule=Scheduled("nightly", 1_792_888_200_250_000)))
    await stage.submit("t", payload='{"n":1.50}', key="k", carried=made)
    (mine,) = await claim(api, options={"default": {"maxRetries": 7, "timeoutSeconds": 2.5}})
    record = await stage.record("t")
    secret = await stage.ledger.effect_secret()
    assert record.state is State.RUNNING
    assert {name: mine[name] for name in mine if name not in ("token", "submittedAt")} == {
        "taskId": "t",
        "type": "default",
        "payload": {"n": 1.5},
        "number": 1,
        "attempt": 1,
        "maxRetries": 7,
        "redriveCount": 0,
        "timeoutSeconds": 2.5,
        "alone": False,
        "effectKey": effects.effect_key(secret, "t", record.submitted_at),
        "steps": [],
        "key": "k",
        "scheduledFor": "2026-10-25T00:30:00.250000Z",
    }
    assert len(mine["token"]) <= 2_000
    shown = (await api.get("/workers")).json()["workers"]
    assert [(worker["id"], worker["runningCount"]) for worker in shown] == [("w", 1)]


async def test_what_a_submit_has_set_beats_the_handlers_own_options(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("t", max_retries=1)
    (mine,) = await claim(api, options={"default": {"maxRetries": 7}})
    assert (mine["maxRetries"], mine["timeoutSeconds"]) == (1, Settings().attempt_timeout)


async def test_a_claim_that_comes_again_gives_the_same(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("a", "b", "c")
    first = await claim(api, limit=2)
    assert await claim(api, limit=2) == first
    assert await settled(api, first[0]["token"], outcome="succeeded") == (200, "succeeded")
    assert await claim(api, limit=2) == first[1:]
    await claim(api, status=409, worker="v")
    await claim(api, status=409, types=["default", "mail"])
    assert [each["taskId"] for each in await claim(api, CLAIM + "-2")] == ["c"]


async def test_an_attempt_ends_as_its_client_says(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.submit("a", "b", "c", "d", "e", max_retries=1)
    a, b, c, d, e = (each["token"] for each in await claim(api))
    error = {"type": "Boom", "message": "it broke", "traceback": "at x"}
    assert await settled(api, a, outcome="succeeded", result={"n": 1.5}) == (200, "succeeded")
    assert await settled(api, b, outcome="failed", error=error) == (200, "retrying")
    assert await settled(api, c, outcome="failed", reject=True) == (200, "dead")
    assert await settled(api, d, outcome="released") == (200, "queued")
    after = {"retryAfterSeconds": 100, "excused": True}
    assert await settled(api, e, outcome="failed", **after) == (200, "retrying")

    assert (await stage.record("a")).result == '{"n":1.5}'
    failed = (await stage.record("b")).attempts[0]
    assert failed.error is not None
    assert (failed.error.type, failed.error.message, failed.error.traceback) == (
        "Boom", "it broke", "at x",
    )  # fmt: skip
    rejected = (await stage.record("c")).attempts[0]
    assert rejected.error is not None
    assert rejected.error.type == "Reject"
    assert (await stage.record("d")).attempt_count == 0
    excused = await stage.record("e")
    assert (excused.excused_count, excused.due_at) == (1, stage.clock.now + 100_000_000)


async def test_a_settlement_may_come_again_and_only_the_same(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    token = await one(api, stage)
    error = {"type": "Boom"}
    assert await settled(api, token, outcome="failed", error=error) == (200, "retrying")
    assert await settled(api, token, outcome="failed", error=error) == (200, "retrying")
    assert await settled(api, token, outcome="succeeded") == (409, "retrying")
    assert await settled(api, token, outcome="released") == (409, "retrying")
    stage.clock.advance(1000)
    (again,) = await claim(api, CLAIM + "-2")
    assert await settled(api, token, outcome="failed", error=error) == (200, "running")
    assert await settled(api, token, outcome="succeeded") == (409, "running")
    assert await settled(api, again["token"], outcome="succeeded") == (200, "succeeded")


async def test_a_failure_that_comes_again_may_say_another_error(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    token = await one(api, stage)
    assert await settled(api, token, outcome="failed", error={"type": "A"}) == (200, "retrying")
    assert await settled(api, token, outcome="failed", error={"type": "B"}) == (200, "retrying")
    assert await settled(api, token, outcome="failed", reject=True) == (200, "retrying")
    large = "x" * MAX_RESULT
    assert await settled(api, token, outcome="succeeded", result=large) == (409, "retrying")
    (attempt,) = (await stage.record("t")).attempts
    assert attempt.error is not None
    assert attempt.error.type == "A"


async def test_what_is_wrong_with_one_settlement_is_said_of_it_alone(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    token = await one(api, stage)
    wrong: list[Any] = [
        5,
        {},
        {"token": token},
        {"token": 5, "outcome": "succeeded"},
        {"token": token, "outcome": "lost"},
        {"token": token, "outcome": "failed", "result": 1},
        {"token": token, "outcome": "failed", "submit": [{"payload": {}}]},
        {"token": token, "outcome": "succeeded", "error": {}},
        {"token": token, "outcome": "succeeded", "more": 1},
        {"token": token, "outcome": "failed", "error": {"type": ""}},
        {"token": token, "outcome": "failed", "error": {"type": "x" * 201}},
        {"token": token, "outcome": "failed", "error": 5},
        {"token": token, "outcome": "failed", "retryAfterSeconds": -1},
        {"token": token, "outcome": "failed", "reject": True, "excused": True},
        {"token": token, "outcome": "succeeded", "submit": 5},
        {"token": token, "outcome": "succeeded", "submit": [5]},
        {"token": token, "outcome": "succeeded", "submit": [{"payload": 5}]},
        {"token": token, "outcome": "succeeded", "submit": [{"payload": {}, "type": "unlost.x"}]},
        {"token": token, "outcome": "succeeded", "submit": [{"payload": {}}] * 41},
        {
            "token": token,
            "outcome": "succeeded",
            "submit": [{"payload": {"a": "x" * 250_000}} for _ in range(5)],
        },
    ]
    unknown = [
        {"token": text, "outcome": "succeeded"} for text in ("", "x", token[:-1], token + "A")
    ]
    results = await settle(api, *wrong, *unknown, {"token": token, "outcome": "succeeded"})
    assert [each["status"] for each in results] == [422] * len(wrong) + [404] * 4 + [200]
    assert all(each["detail"] for each in results[:-1])


async def test_a_settlement_that_cannot_be_read_is_refused_alone(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("a", "b", "c", "d", "e", "f", "g")
    tokens = [each["token"] for each in await claim(api)]
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    payload = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    said = [
        '"result":"\\ud83d"',
        '"result":{"a":1,"a":2}',
        f'"result":[{deep}]',
        f'"submit":[{{"payload":{{"a":{payload}}}}}]',
        f'"submit":[{{"payload":{payload}}}]',
        f'"result":{deep}',
        '"result":1',
    ]
    items = [
        f'{{"token":"{token}","outcome":"succeeded",{one}}}'
        for token, one in zip(tokens, said, strict=True)
    ]
    json = {"content-type": "application/json"}
    body = f'{{"attempts":[{",".join(items)},{{"token":"\\ud83d"}}]}}'
    answer = await api.post("/attempts/settle", content=body, headers=json)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [one["status"] for one in results] == [422] * 4 + [200] * 3 + [422]
    assert [one["token"] for one in results] == [*tokens, None]
    assert [one["detail"] for one in results[:3]] == [
        "is not JSON: a string holds a lone surrogate",
        "is not JSON: the member name 'a' occurs twice in one object",
        "result is nested more than 128 levels deep",
    ]
    assert (await stage.record("f")).result == deep


async def test_a_token_that_was_made_otherwise_finds_nothing(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    token = await one(api, stage)
    for place in range(0, len(token), 7):
        other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        (result,) = await settle(api, {"token": other, "outcome": "succeeded"})
        assert result["status"] == 404
        step = {"token": other, "name": "x", "result": 1}
        problem(await api.post("/attempts/steps", json=step), 404)
        gone = (await extend(api, other)).json()["gone"]
        assert gone == [{"token": other, "state": "unknown"}]


async def test_a_result_that_is_too_large_ends_the_task(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    token = await one(api, stage)
    large = "x" * MAX_RESULT
    assert await settled(api, token, outcome="succeeded", result=large) == (200, "dead")
    (attempt,) = (await stage.record("t")).attempts
    assert attempt.error is not None
    assert attempt.error.type == "ResultTooLarge"
    assert await settled(api, token, outcome="succeeded", result=large) == (200, "dead")
    assert await settled(api, token, outcome="succeeded") == (409, "dead")
    assert await settled(api, token, outcome="failed") == (409, "dead")


async def test_tasks_follow_a_success_in_one_step(api: httpx.AsyncClient, stage: Stage) -> None:
    token = await one(api, stage)
    follow = [{"payload": {"n": 1.50}}, {"payload": {}, "taskId": "named", "priority": 3}]
    assert await settled(api, token, outcome="succeeded", submit=follow) == (200, "succeeded")
    assert await settled(api, token, outcome="succeeded", submit=follow) == (200, "succeeded")
    found = (await api.get("/tasks?parent=t&include=payload")).json()["tasks"]
    assert {each["parent"] for each in found} == {"t"}
    assert sorted((each["taskId"] == "named", each["payload"]) for each in found) == [
        (False, {"n": 1.5}),
        (True, {}),
    ]


async def test_a_conflict_of_what_follows_ends_the_task(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("taken", type="other")
    token = await one(api, stage)
    follow = [{"payload": {}}, {"payload": {"n": 1}, "taskId": "taken"}]
    for _ in range(2):
        assert await settled(api, token, outcome="succeeded", submit=follow) == (422, "dead")
    assert await settled(api, token, outcome="failed") == (409, "dead")
    assert (await api.get("/tasks?parent=t")).json()["tasks"] == []
    (attempt,) = (await stage.record("t")).attempts
    assert attempt.error is not None
    assert attempt.error.type == "FollowUpConflict"


async def test_a_step_is_recorded_once_and_given_to_later_attempts(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    token = await one(api, stage)

    async def record(name: str, result: Any, of: str = token) -> httpx.Response:
        step = {"token": of, "name": name, "result": result}
        return await api.post("/attempts/steps", json=step)

    for _ in range(2):
        assert (await record("charge", {"n": 1.5})).json() == {"kept": True}
    body = problem(await record("charge", 5), 409, "state")
    assert body["state"] == "running"
    for _ in range(2):
        assert (await record("large", "x" * MAX_RESULT)).json() == {"kept": False}
    assert pointers(await record("no name", 5)) == ["#/name"]
    await settled(api, token, outcome="failed")
    assert problem(await record("late", 5), 409, "state")["state"] == "retrying"

    clock.advance(1000)
    (again,) = await claim(api, CLAIM + "-2")
    assert again["steps"] == [
        {"name": "charge", "result": {"n": 1.5}},
        {"name": "large", "kept": False},
    ]
    await settled(api, again["token"], outcome="failed", reject=True)
    forget = {"forget": ["charge"]}
    assert (await api.post("/dead-letters/t/redrive", json=forget)).status_code == 202
    (third,) = await claim(api, CLAIM + "-3")
    assert third["steps"] == [
        {"name": "large", "kept": False},
        {"name": "charge", "forgotten": 1},
    ]
    assert (await record("charge", 7, third["token"])).json() == {"kept": True}


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"claim": "x" * 15}, ["#/claim"]),
        ({"claim": "x" * 101}, ["#/claim"]),
        ({"claim": "no spaces in here"}, ["#/claim"]),
        ({"worker": ""}, ["#/worker"]),
        ({"worker": "x" * 101}, ["#/worker"]),
        ({"worker": None}, ["#/worker"]),
        ({"types": []}, ["#/types"]),
        ({"types": ["x"] * 101}, ["#/types"]),
        ({"types": ["unlost.webhook"]}, ["#/types"]),
        ({"types": ["a\x00b"]}, ["#/types"]),
        ({"types": "default"}, ["#/types"]),
        ({"limit": 0}, ["#/limit"]),
        ({"limit": 1001}, ["#/limit"]),
        ({"limit": 1.5}, ["#/limit"]),
        ({"leaseSeconds": 4.9}, ["#/leaseSeconds"]),
        ({"leaseSeconds": 43_201}, ["#/leaseSeconds"]),
        ({"wait": 31}, ["#/wait"]),
        ({"wait": -1}, ["#/wait"]),
        ({"options": {"mail": {}}}, ["#/options/mail"]),
        ({"options": {"default": {"maxRetries": 101}}}, ["#/options/default/maxRetries"]),
        ({"options": {"default": {"timeoutSeconds": 0}}}, ["#/options/default/timeoutSeconds"]),
        ({"options": {"default": {"more": 1}}}, ["#/options/default/more"]),
        ({"options": {"default": 5}}, ["#/options/default"]),
        ({"options": 5}, ["#/options"]),
        ({"more": 1}, ["#/more"]),
    ],
)
async def test_a_claim_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, stage: Stage, more: dict[str, Any], wrong: list[str]
) -> None:
    await stage.submit("t")
    body = {"claim": CLAIM, "worker": "w", "types": ["default"], **more}
    assert pointers(await api.post("/attempts/claim", json=body)) == wrong
    assert (await stage.record("t")).attempts == ()
    assert (await api.get("/workers")).json()["workers"] == []


async def test_a_key_works_with_its_scope_for_its_types_and_as_its_own_workers(
    guarded: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("t", "u")
    await stage.submit("m", type="mail")
    for path in ("/attempts/claim", "/attempts/steps", "/attempts/settle", "/workers/w/extend"):
        problem(await use(guarded, "read").post(path, json={}), 403)
    await claim(use(guarded, "mail"), status=403)
    (mine,) = await claim(use(guarded, "work"), limit=1)
    await claim(use(guarded, "other"), CLAIM + "-2", 403)
    problem(await extend(use(guarded, "other")), 403)
    step = {"token": mine["token"], "name": "x", "result": 1}
    problem(await use(guarded, "mail").post("/attempts/steps", json=step), 403)
    token = mine["token"]
    assert await settled(use(guarded, "mail"), token, outcome="succeeded") == (403, None)
    follow = {"outcome": "succeeded", "submit": [{"payload": {}}]}
    assert await settled(use(guarded, "work"), token, **follow) == (403, None)
    assert (await stage.record("t")).state is State.RUNNING
    assert await settled(use(guarded, "both"), token, **follow) == (200, "succeeded")
    answer = await extend(use(guarded, "work"), token)
    assert answer.json()["gone"] == [{"token": token, "state": "succeeded"}]
    over = token
    (mine,) = await claim(use(guarded, "mail"), CLAIM + "-3", worker="m", types=["mail"])
    answer = await extend(use(guarded, "mail"), over, worker="m")
    assert answer.json()["gone"] == [{"token": over, "state": "unknown"}]
    token = mine["token"]
    assert await settled(use(guarded, "mail"), token, **follow) == (403, None)
    follow["submit"] = [{"payload": {}, "type": "mail"}]
    assert await settled(use(guarded, "mail"), token, **follow) == (200, "succeeded")
