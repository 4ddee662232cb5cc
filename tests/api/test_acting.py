"""What people do to tasks: cancel, redrive, discard, with who and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.api.checks import parameters, pointers, problem
from tests.conformance.stage import BOOM, OTHER, Clock, Stage
from unlost.task import State

BY_PATH = [
    ("POST", "/tasks/t/cancel"),
    ("POST", "/dead-letters/t/redrive"),
    ("DELETE", "/dead-letters/t"),
]


async def call(
    api: httpx.AsyncClient, method: str, path: str, body: str | None = None
) -> httpx.Response:
    return await api.request(method, path, content=body)


async def state_of(api: httpx.AsyncClient, task_id: str) -> str:
    state: str = (await api.get(f"/tasks/{task_id}")).json()["state"]
    return state


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.RETRYING])
async def test_an_open_task_is_cancelled_at_once(
    api: httpx.AsyncClient, stage: Stage, state: State
) -> None:
    token = await stage.into(state, "t")

    answer = await api.post("/tasks/t/cancel")

    assert answer.status_code == 200
    assert answer.json()["state"] == "cancelled"
    if state is State.RUNNING:
        assert answer.json()["attempts"][-1]["outcome"] == "cancelled"
        assert await stage.ledger.dropped({token: "t"}) == [token]


async def test_a_cancel_that_comes_twice_is_one(api: httpx.AsyncClient, stage: Stage) -> None:
    """curl and browsers send a call again by themselves where they lose its answer."""
    await stage.into(State.RUNNING, "t")
    first = await api.post("/tasks/t/cancel", json={"by": "ann"})

    again = await api.post("/tasks/t/cancel", json={"by": "ann"})

    assert (again.status_code, again.json()) == (200, first.json())
    [act] = again.json()["history"]
    assert (act["event"], act["by"]) == ("cancel", "ann")


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD])
async def test_a_task_at_its_end_cannot_be_cancelled(
    api: httpx.AsyncClient, stage: Stage, state: State
) -> None:
    await stage.into(state, "t")

    problem(await api.post("/tasks/t/cancel"), 409)

    assert await state_of(api, "t") == state


@pytest.mark.parametrize("state", [state for state in State if state is not State.DEAD])
async def test_what_is_no_dead_letter_is_neither_redriven_nor_discarded(
    api: httpx.AsyncClient, stage: Stage, state: State
) -> None:
    await stage.into(state, "t")

    problem(await api.post("/dead-letters/t/redrive"), 409)
    problem(await api.delete("/dead-letters/t"), 409)

    assert await state_of(api, "t") == state


@pytest.mark.parametrize(("method", "path"), BY_PATH)
async def test_an_unknown_id_is_404(api: httpx.AsyncClient, method: str, path: str) -> None:
    problem(await call(api, method, path), 404)


async def test_a_redriven_task_is_queued_and_keeps_its_history(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.bury("t")
    before = (await api.get("/tasks/t")).json()
    clock.advance(5)

    answer = await api.post("/dead-letters/t/redrive")

    assert answer.status_code == 202
    task = answer.json()
    assert task["state"] == "queued"
    assert task["redriveCount"] == 1
    assert task["attempts"] == before["attempts"]
    assert task["error"] == before["error"]
    assert task["nextAttemptAt"] == task["updatedAt"] == task["history"][-1]["at"]
    assert task == (await api.get("/tasks/t")).json()
    assert (await api.get("/dead-letters")).json()["tasks"] == []


async def test_a_redrive_may_replace_the_payload_and_a_replay_is_still_the_first_one(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await api.post("/tasks", json={"taskId": "t", "payload": {"n": 1}})
    await stage.die(await stage.run("t"))

    answer = await call(api, "POST", "/dead-letters/t/redrive", '{"payload": {"n": 2.50,  "m": 1}}')

    assert answer.status_code == 202
    assert '"payload":{"n":2.50,"m":1}' in answer.text
    assert (await stage.run("t")).payload == '{"n":2.50,"m":1}'
    replay = await api.post("/tasks", json={"taskId": "t", "payload": {"n": 1}})
    assert replay.status_code == 200
    other = await api.post("/tasks", json={"taskId": "t", "payload": {"n": 2.5, "m": 1}})
    assert other.status_code == 409


async def test_a_discarded_dead_letter_is_cancelled_and_keeps_its_history(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.bury("t")

    answer = await api.delete("/dead-letters/t")

    assert answer.status_code == 204
    assert answer.content == b""
    task = (await api.get("/tasks/t")).json()
    assert task["state"] == "cancelled"
    assert task["attempts"][0]["error"]["type"] == BOOM.type
    again = await api.delete("/dead-letters/t")  # as a browser sends it whose connection died
    assert again.status_code == 204
    assert (await api.get("/tasks/t")).json() == task


async def test_ids_that_look_like_other_routes_are_resolved_by_the_method(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.bury("groups", "redrive")

    assert (await api.get("/dead-letters/groups")).json().keys() == {"groups"}
    assert (await api.delete("/dead-letters/groups")).status_code == 204
    assert (await api.post("/dead-letters/redrive/redrive")).json()["taskId"] == "redrive"


@pytest.mark.parametrize(
    ("method", "path", "event"),
    [(*call, event) for call, event in zip(BY_PATH, ("cancel", "redrive", "discard"), strict=True)],
)
@pytest.mark.parametrize("in_query", [True, False])
async def test_who_and_why_stay_in_the_history(
    api: httpx.AsyncClient, stage: Stage, method: str, path: str, event: str, in_query: bool
) -> None:
    await stage.into(State.QUEUED if event == "cancel" else State.DEAD, "t")
    why = {"by": "Ada é", "reason": "wrong\naddress"}

    if in_query:
        answer = await api.request(method, path, params=why)
    else:
        answer = await api.request(method, path, json=why)

    assert answer.is_success, answer.text
    [act] = (await api.get("/tasks/t")).json()["history"]
    assert act["by"] == why["by"]
    assert act["reason"] == why["reason"]
    assert act["event"] == event
    assert datetime.fromisoformat(act["at"]).tzinfo is not None


@pytest.mark.parametrize(("method", "path"), BY_PATH)
@pytest.mark.parametrize(
    ("body", "where"),
    [
        ('{"nope": 1}', ["#/nope"]),
        ('{"by": 1}', ["#/by"]),
        ('{"reason": null}', ["#/reason"]),
        (f'{{"reason": "{"x" * 1001}"}}', ["#/reason"]),
        ("[]", ["#"]),
        ("null", ["#"]),
    ],
)
async def test_a_bad_body_is_422_and_does_nothing(
    api: httpx.AsyncClient, stage: Stage, method: str, path: str, body: str, where: list[str]
) -> None:
    state = State.QUEUED if "cancel" in path else State.DEAD
    await stage.into(state, "t")

    assert pointers(await call(api, method, path, body)) == where
    problem(await call(api, method, path, '{"by": "a", "by": "b"}'), 400)
    problem(await call(api, method, path, "nope"), 400)
    assert parameters(await api.request(method, path, params={"because": "x"})) == ["because"]
    assert parameters(await api.request(method, path, params={"by": "x" * 1001})) == ["by"]

    assert await state_of(api, "t") == state


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ('{"payload": []}', ["#/payload"]),
        ('{"payload": null}', ["#/payload"]),
        ('{"payload": {}, "taskId": "t"}', ["#/taskId"]),
    ],
)
async def test_a_new_payload_must_be_an_object(
    api: httpx.AsyncClient, stage: Stage, body: str, where: list[str]
) -> None:
    await stage.bury("t")

    assert pointers(await call(api, "POST", "/dead-letters/t/redrive", body)) == where
    large = '{"payload": {"x": "' + "a" * 256 * 1024 + '"}}'
    problem(await call(api, "POST", "/dead-letters/t/redrive", large), 413)
    deep = '{"payload": ' + '{"a":' * 128 + "{}" + "}" * 128 + "}"
    problem(await call(api, "POST", "/dead-letters/t/redrive", deep), 400)

    assert await state_of(api, "t") == "dead"


async def redriven(api: httpx.AsyncClient, body: str) -> dict[str, Any]:
    answer = await call(api, "POST", "/dead-letters/redrive", body)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    assert found.pop("redrive")
    return found


SELECTIONS = [
    ('{"all": true}', ["a", "b", "c", "d"]),
    ('{"type": "x"}', ["a", "b"]),
    ('{"fingerprint": "FP"}', ["b", "d"]),
    ('{"type": "x", "fingerprint": "FP"}', ["b"]),
    ('{"taskIds": ["a", "d", "nobody", "alive", "a", "\\n"]}', ["a", "d"]),
    ('{"taskIds": ["a", "d"], "type": "y", "all": true}', ["d"]),
    ('{"taskIds": []}', []),
    ('{"all": true, "limit": 3}', ["a", "b", "c"]),
    ('{"all": true, "limit": 1e3, "by": "me", "reason": "fixed"}', ["a", "b", "c", "d"]),
    ('{"fingerprint": "0000000000000000"}', []),
]


@pytest.mark.parametrize(("body", "expected"), SELECTIONS, ids=[body for body, _ in SELECTIONS])
async def test_many_are_redriven_by_selectors_that_mean_and(
    api: httpx.AsyncClient, stage: Stage, clock: Clock, body: str, expected: list[str]
) -> None:
    await stage.submit("alive", delay=1000)
    for task_id, kind, error in (
        ("a", "x", BOOM), ("b", "x", OTHER), ("c", "y", BOOM), ("d", "y", OTHER),
    ):  # fmt: skip
        await stage.bury(task_id, type=kind, error=error)
        clock.advance(1)

    answer = await redriven(api, body.replace("FP", OTHER.fingerprint))

    assert answer == {"redriven": len(expected), "more": False}
    states = {task_id: await state_of(api, task_id) for task_id in "abcd"}
    assert [task_id for task_id in "abcd" if states[task_id] == "queued"] == expected


async def test_a_rate_spreads_the_next_attempts(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.bury("a", "b", "c")

    await redriven(api, '{"all": true, "ratePerSecond": 0.5}')

    times = [(await api.get(f"/tasks/{task_id}")).json()["nextAttemptAt"] for task_id in "abc"]
    first, *others = (datetime.fromisoformat(time) for time in times)
    assert [(time - first).total_seconds() for time in others] == [2, 4]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("{}", ["#"]),
        ('{"limit": 5}', ["#"]),
        ('{"all": false}', ["#/all"]),
        ('{"all": false, "type": "x"}', ["#/all"]),
        ('{"all": 1}', ["#/all"]),
        ('{"all": null}', ["#/all"]),
        ('{"all": true, "limit": 0}', ["#/limit"]),
        ('{"all": true, "limit": -1}', ["#/limit"]),
        ('{"all": true, "limit": 1.5}', ["#/limit"]),
        ('{"all": true, "limit": true}', ["#/limit"]),
        ('{"all": true, "ratePerSecond": 0}', ["#/ratePerSecond"]),
        ('{"all": true, "ratePerSecond": -1}', ["#/ratePerSecond"]),
        ('{"all": true, "ratePerSecond": 1e400}', ["#/ratePerSecond"]),
        ('{"all": true, "ratePerSecond": "1"}', ["#/ratePerSecond"]),
        ('{"taskIds": "a"}', ["#/taskIds"]),
        ('{"taskIds": [1]}', ["#/taskIds"]),
        ('{"taskIds": null}', ["#/taskIds"]),
        ('{"type": 1}', ["#/type"]),
        ('{"fingerprint": ""}', ["#/fingerprint"]),
        ('{"all": true, "nope": 1}', ["#/nope"]),
        ('{"all": true, "by": 1, "reason": 2}', ["#/by", "#/reason"]),
        ("[]", ["#"]),
    ],
)
async def test_a_bad_selection_is_422_and_redrives_nothing(
    api: httpx.AsyncClient, stage: Stage, body: str, where: list[str]
) -> None:
    await stage.bury("a", type="x")

    assert pointers(await call(api, "POST", "/dead-letters/redrive", body)) == where

    assert await state_of(api, "a") == "dead"


async def test_many_need_a_body(api: httpx.AsyncClient) -> None:
    problem(await api.post("/dead-letters/redrive"), 400)
    problem(await call(api, "POST", "/dead-letters/redrive", '{"all": true, "all": true}'), 400)


async def test_groups_count_dead_letters_by_error(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.bury("a", "b", error=BOOM)
    clock.advance(2)
    await stage.bury("c", error=BOOM)
    await stage.bury("d", error=OTHER)

    boom, other = (await api.get("/dead-letters/groups")).json()["groups"]

    assert boom.keys() == {"fingerprint", "errorType", "sample", "count", "firstAt", "lastAt"}
    assert (boom["fingerprint"], boom["errorType"], boom["count"]) == (BOOM.fingerprint, "Boom", 3)
    assert boom["sample"] == BOOM.message
    span = datetime.fromisoformat(boom["lastAt"]) - datetime.fromisoformat(boom["firstAt"])
    assert span.total_seconds() == 2
    assert (other["errorType"], other["count"]) == ("Other", 1)


@pytest.mark.parametrize("in_query", [True, False])
async def test_a_redrive_that_comes_twice_is_one_whatever_became_of_the_task(
    api: httpx.AsyncClient, stage: Stage, in_query: bool
) -> None:
    await stage.bury("t")
    named: dict[str, Any] = {"params": {"id": "one"}} if in_query else {"json": {"id": "one"}}
    path = "/dead-letters/t/redrive"

    assert (await api.post(path, **named)).status_code == 202
    await again(api, path, named, "queued")
    await stage.die(await stage.run("t"))
    await again(api, path, named, "dead")
    assert (await api.post(path, json={"id": "two"})).status_code == 202
    await stage.succeed(await stage.run("t"))
    task = await again(api, path, named, "succeeded")

    assert [act["event"] for act in task["history"]] == ["redrive", "redrive"]


async def again(
    api: httpx.AsyncClient, path: str, named: dict[str, Any], state: str
) -> dict[str, Any]:
    """What the same call answers that has been done before."""
    answer = await api.post(path, **named)
    task: dict[str, Any] = answer.json()
    assert (answer.status_code, task["state"]) == (200, state)
    assert answer.headers["Idempotent-Replayed"] == "true"
    return task


async def test_what_a_redrive_asks_for_is_compared_by_value(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.bury("t")
    path = "/dead-letters/t/redrive"

    first = await call(api, "POST", path, '{"id": "one", "by": "ann", "payload": {"a": 1, "b": 2}}')
    same = await call(api, "POST", path, '{"payload": {"b": 2.0, "a": 1}, "by": "ann", "id":"one"}')

    assert (first.status_code, same.status_code) == (202, 200)
    for other in (
        '{"id": "one", "by": "ann", "payload": {"a": 1, "b": 3}}',
        '{"id": "one", "by": "ann"}',
        '{"id": "one", "by": "bo", "payload": {"a": 1, "b": 2}}',
    ):
        answer = await call(api, "POST", path, other)
        assert problem(answer, 409)["type"] == "urn:unlost:problem:other-call"
    problem(await api.delete("/dead-letters/t", params={"id": "one"}), 409)


async def test_a_discard_that_comes_twice_is_one(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.bury("t")

    first = await api.delete("/dead-letters/t", params={"id": "one", "reason": "old"})
    second = await api.delete("/dead-letters/t", params={"id": "one", "reason": "old"})

    assert (first.status_code, second.status_code) == (204, 200)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.json()["state"] == "cancelled"
    assert len(second.json()["history"]) == 1
    problem(await api.delete("/dead-letters/t", params={"id": "one", "reason": "new"}), 409)
    assert (await api.delete("/dead-letters/t", params={"id": "two"})).status_code == 204


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "x" * 201, "a\n"])
async def test_an_id_of_a_call_is_plain(api: httpx.AsyncClient, stage: Stage, name: str) -> None:
    await stage.bury("t")

    assert pointers(await api.post("/dead-letters/t/redrive", json={"id": name})) == ["#/id"]
    assert parameters(await api.delete("/dead-letters/t", params={"id": name})) == ["id"]
    assert pointers(await api.post("/tasks/t/cancel", json={"id": "one"})) == ["#/id"]

    assert await state_of(api, "t") == "dead"
