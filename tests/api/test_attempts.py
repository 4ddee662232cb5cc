"""Workers that claim by the API: what the calls give, and what each answer means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from tests.api.checks import pointers, problem
from tests.conformance.stage import Clock, Stage
from unlost import carried, effects
from unlost.access.keys import Key, Secret, digest
from unlost.api.app import create_app
from unlost.api.calls.attempts.pulls import Pulls
from unlost.carried import Carried, Scheduled
from unlost.effects import MAX_RESULT, Recorded, Step
from unlost.jsontext import MAX_DEPTH
from unlost.ledger.protocol import LedgerUnavailable, Pulling
from unlost.ledger.values import Claimed, NewStep, Pull, Pulled
from unlost.settings import Settings
from unlost.task import State
from unlost.worker.attempt import Ended

CLAIM = "claim-0123456789"


async def claim(
    api: httpx.AsyncClient, name: str = CLAIM, status: int = 200, **more: Any
) -> list[dict[str, Any]]:
    """What a claim of the worker `w` gives, for tasks of the default type."""
    body = {"claim": name, "worker": "w", "types": ["default"], "limit": 10, **more}
    answer = await api.post("/attempts/claim", json=body)
    if status != 200:
        problem(answer, status)
        return []
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["attempts"]
    return found


async def settle(api: httpx.AsyncClient, *items: Any) -> list[dict[str, Any]]:
    answer = await api.post("/attempts/settle", json={"attempts": items})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    assert [one["token"] for one in found] == [
        item["token"] if isinstance(item, dict) and isinstance(item.get("token"), str) else None
        for item in items
    ]
    return found


async def settled(api: httpx.AsyncClient, token: str, **item: Any) -> tuple[int, str | None]:
    """The status of one settlement, and the task's state after it."""
    (result,) = await settle(api, {"token": token, **item})
    return result["status"], result.get("state")


async def extend(
    api: httpx.AsyncClient, *tokens: str, worker: str = "w", seconds: float = 60
) -> httpx.Response:
    body = {"leaseSeconds": seconds, "tokens": tokens}
    return await api.post(f"/workers/{worker}/extend", json=body)


async def one(api: httpx.AsyncClient, stage: Stage, task_id: str = "t", **options: Any) -> str:
    """The token of an attempt at a new task."""
    await stage.submit(task_id, **options)
    (mine,) = await claim(api)
    return str(mine["token"])


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


async def test_what_another_worker_runs_is_not_this_workers_to_prolong(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("a", "b")
    (a,) = (each["token"] for each in await claim(api, limit=1))
    (b,) = (each["token"] for each in await claim(api, CLAIM + "-2", limit=1, worker="v"))
    assert (await extend(api, a, b)).json()["gone"] == [{"token": b, "state": "unknown"}]
    assert (await extend(api, a, b, worker="v")).json()["gone"] == [
        {"token": a, "state": "unknown"}
    ]


async def test_a_lease_is_prolonged_and_tells_what_runs_no_more(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.submit("a", "b")
    a, b = (each["token"] for each in await claim(api, leaseSeconds=5))
    clock.advance(4)
    assert (await extend(api, a, b)).json() == {"gone": []}
    clock.advance(59)
    await api.post("/tasks/a/cancel")
    assert (await extend(api, a, b, seconds=5)).json()["gone"] == [
        {"token": a, "state": "cancelled"}
    ]
    assert await settled(api, a, outcome="succeeded") == (409, "cancelled")
    clock.advance(5)
    problem(await extend(api, b), 409)
    step = {"token": b, "name": "x", "result": 1}  # nobody has taken it for lost
    assert (await api.post("/attempts/steps", json=step)).json() == {"kept": True}
    assert await settled(api, b, outcome="succeeded") == (200, "succeeded")
    problem(await extend(api, worker="never"), 409)
    problem(await extend(api, worker="no%20name"), 404)


async def test_what_a_worker_held_beyond_its_lease_is_lost_when_it_claims_again(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    token = await one(api, stage)
    clock.advance(61)
    assert await claim(api, CLAIM + "-2") == []
    lost = await stage.record("t")
    assert (lost.state, lost.attempts[0].outcome) == (State.RETRYING, "lost")
    assert await settled(api, token, outcome="succeeded") == (409, "retrying")
    clock.advance(1000)
    await stage.submit("other")
    (solo,) = await claim(api, CLAIM + "-3")
    assert (solo["taskId"], solo["alone"], solo["attempt"]) == ("t", True, 2)
    assert await claim(api, CLAIM + "-4") == []


async def test_a_slow_call_of_a_claim_does_not_lose_what_another_call_was_given(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one(api, stage)
    clock.advance(61)
    wait = Pulls.lose
    other: list[dict[str, Any]] = []

    async def slow(self: Pulls, worker: str) -> None:
        """Another call of the claim comes in between, and is answered."""
        monkeypatch.setattr(Pulls, "lose", wait)
        await stage.submit("other")
        other.extend(await claim(api, CLAIM + "-2"))
        await self.lose(worker)

    monkeypatch.setattr(Pulls, "lose", slow)
    assert await claim(api, CLAIM + "-2") == other
    assert [each["taskId"] for each in other] == ["other"]
    assert (await extend(api, other[0]["token"])).json() == {"gone": []}


@pytest.mark.parametrize(("leases", "status"), [(3, 200), (100, 503)])
async def test_a_claim_whose_workers_lease_ends_again_is_tried_again_and_not_for_ever(
    api: httpx.AsyncClient,
    stage: Stage,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    leases: int,
    status: int,
) -> None:
    await stage.submit("t")
    lose = Pulls.lose
    left = leases

    async def again(self: Pulls, worker: str) -> None:
        """Another call of the worker is given something, and its lease ends as well."""
        nonlocal left
        await lose(self, worker)
        left -= 1
        if left:
            await stage.submit(f"other-{left}")
            await claim(api, f"{CLAIM}-{left}-other")
            clock.advance(61)

    await claim(api)
    clock.advance(61)
    monkeypatch.setattr(Pulls, "lose", again)
    await claim(api, CLAIM + "-2", status)


async def test_no_more_is_started_than_an_answer_has_room_for(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    ids = [f"t{number:02}" for number in range(40)]
    for one in ids:
        await stage.submit(one, payload=f'"{"x" * 240_000}"')
    first = [each["taskId"] for each in await claim(api, limit=40)]
    left = ids[len(first) :]
    assert first == ids[: len(first)]
    assert len(first) == 34
    assert [(await stage.record(one)).attempts for one in left] == [()] * len(left)
    assert [each["taskId"] for each in await claim(api, CLAIM + "-2", limit=40)] == left


async def record_large_steps(stage: Stage) -> None:
    """By each attempt that runs, of nearly 1 MiB together."""
    for held in await stage.ledger.held("w"):
        for number in range(15):
            new = NewStep(held.task_id, held.token, f"n{number}", f'"{"x" * 65_000}"')
            assert await stage.ledger.record_step(new) is Recorded.KEPT


async def test_a_claim_that_comes_again_releases_what_no_answer_has_had_room_for(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.submit(*(f"t{number:02}" for number in range(12)))
    first = await claim(api, limit=12)
    await record_large_steps(stage)
    await settle(api, *({"token": each["token"], "outcome": "failed"} for each in first))
    clock.advance(50)
    settles = Pulls.settle

    async def breaking_off(self: Pulls, attempts: Sequence[Claimed], ended: Ended) -> None:
        await settles(self, attempts[:1], ended)
        raise LedgerUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(Pulls, "settle", breaking_off)
        await claim(api, limit=12, status=503)
    given = [each["taskId"] for each in await claim(api, limit=12)]
    states = {each["taskId"]: (await stage.record(each["taskId"])).state for each in first}
    assert len(given) == 8
    assert [name for name, state in states.items() if state is State.RUNNING] == sorted(given)


async def test_what_a_claim_that_comes_again_has_no_room_for_runs_on(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.submit(*(f"t{number}" for number in range(20)))
    first = await claim(api, limit=20)
    await settle(api, *({"token": each["token"], "outcome": "failed"} for each in first))
    clock.advance(50)
    ids = [each["taskId"] for each in await claim(api, limit=20)]
    assert len(ids) == 20
    await record_large_steps(stage)
    read, steps_of = [], stage.ledger.steps_of

    async def noted(task_id: str, *, results: bool = False) -> list[Step]:
        read.append(task_id)
        return await steps_of(task_id, results=results)

    monkeypatch.setattr(stage.ledger, "steps_of", noted)
    again = await claim(api, limit=20)
    assert read == ids[:16]
    assert [each["taskId"] for each in again] == ids[:8]
    assert {(await stage.record(one)).state for one in ids} == {State.RUNNING}
    await settle(api, *({"token": each["token"], "outcome": "succeeded"} for each in again))
    assert [each["taskId"] for each in await claim(api, limit=20)] == ids[8:16]


async def test_no_lease_outlasts_the_time_of_an_attempt(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.submit("t", timeout=2.0)
    ((token),) = (each["token"] for each in await claim(api))
    clock.advance(2)
    assert (await extend(api, token)).json()["gone"] == [{"token": token, "state": "running"}]
    assert await settled(api, token, outcome="succeeded") == (409, "running")
    assert isinstance(stage.ledger, Pulling)
    assert [late.task_id for late in await stage.ledger.overtime()] == ["t"]


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


async def test_a_claim_waits_until_something_is_due(api: httpx.AsyncClient, stage: Stage) -> None:
    waiting = asyncio.create_task(claim(api, wait=30))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await stage.submit("other", type="other")
    await stage.submit("t")
    assert [each["taskId"] for each in await asyncio.wait_for(waiting, 10)] == ["t"]


async def test_a_claim_that_waits_does_not_try_for_what_runs_alone_while_its_worker_is_busy(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.submit("lost")
    await claim(api, worker="v")
    clock.advance(61)
    await claim(api, CLAIM + "-2", worker="v")
    clock.advance(50)
    await stage.submit("other", type="mail")
    ((token),) = (each["token"] for each in await claim(api, CLAIM + "-mail", types=["mail"]))
    ledger = stage.ledger
    assert isinstance(ledger, Pulling)
    tried, pull = 0, ledger.pull

    async def counted(wanted: Pull) -> Pulled:
        nonlocal tried
        tried += 1
        return await pull(wanted)

    monkeypatch.setattr(ledger, "pull", counted)
    assert await claim(api, CLAIM + "-3", wait=0.3) == []
    assert tried == 1
    waiting = asyncio.create_task(claim(api, CLAIM + "-4", wait=30))
    await asyncio.sleep(0)
    assert await settled(api, token, outcome="succeeded") == (200, "succeeded")
    (solo,) = await asyncio.wait_for(waiting, 10)
    assert (solo["taskId"], solo["alone"]) == ("lost", True)


async def test_a_claim_waits_no_longer_than_it_says(api: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        assert await claim(api, wait=0.05) == []


@pytest.mark.parametrize("reaped", [False, True])
async def test_a_claim_that_waits_ends_with_the_lease_of_its_worker(
    api: httpx.AsyncClient,
    stage: Stage,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    *,
    reaped: bool,
) -> None:
    looked, due_in = asyncio.Event(), stage.ledger.due_in

    async def looking(*asked: Any, **how: Any) -> Any:
        looked.set()
        return await due_in(*asked, **how)

    monkeypatch.setattr(stage.ledger, "due_in", looking)
    await stage.submit("t")
    (mine,) = await claim(api)
    waiting = asyncio.create_task(claim(api, CLAIM + "-2", wait=30))
    await asyncio.wait_for(looked.wait(), 10)
    clock.advance(61)
    if reaped:  # its attempt was lost to whoever sweeps
        (held,) = await stage.ledger.held("w")
        assert await stage.lose(held)
        await stage.ledger.dismiss("w", expired=True)
        clock.advance(1000)
    await stage.submit("other")
    assert await asyncio.wait_for(waiting, 10) == []
    problem(await extend(api, mine["token"]), 409)
    assert (await stage.record("t")).attempt_count == 1
    assert (await stage.record("other")).attempt_count == 0
    found = await claim(api, CLAIM + "-3")
    assert [each["taskId"] for each in found] == (["t"] if reaped else ["other"])
    assert (await extend(api, mine["token"])).json()["gone"][0]["token"] == mine["token"]


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
