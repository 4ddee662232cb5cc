"""Why a task waits: alone, and for the tasks of a list."""

from __future__ import annotations

from typing import Any

import httpx

from tests.api.checks import parameters, problem
from tests.conformance.stage import LEASE, Clock, Stage
from unlost.ledger.values import Worker
from unlost.limits.control import Change

LIFTED = "an attempt of its type ends, or the limit is raised"


async def why(api: httpx.AsyncClient, task_id: str) -> dict[str, Any]:
    answer = await api.get(f"/tasks/{task_id}/why")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_task_says_why_it_waits(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.submit("a/1", "b", type="mail")
    await stage.ledger.change("mail", Change(limit=1))
    await stage.ledger.enlist(Worker("worker", None, slots=9), LEASE)
    assert [one.task_id for one in await stage.claim(5)] == ["a/1"]
    assert await why(api, "b") == {
        "taskId": "b", "state": "queued", "reason": "type_limit",
        "detail": "1 of 1 attempts of its type run.", "wouldChange": f"It starts once {LIFTED}.",
    }  # fmt: skip
    assert (await why(api, "a%2F1"))["reason"] == "running"


async def test_until_is_the_time_that_the_task_shows(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.submit("a", delay=1.25)
    told, task = await why(api, "a"), (await api.get("/tasks/a")).json()
    assert (told["reason"], told["until"]) == ("due_at", task["nextAttemptAt"])
    clock.advance(2)
    assert "until" not in await why(api, "a")


async def test_a_list_tells_it_of_each_task_where_it_is_asked_to(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.submit("a", "b", type="mail")
    clock.advance(1)
    await stage.submit("c", type="other")
    await stage.ledger.pause("mail", "ann", None)
    listed = (await api.get("/tasks?include=why")).json()["tasks"]
    assert [(one["taskId"], one["why"]["reason"]) for one in listed] == [
        ("c", "no_worker"), ("b", "type_paused"), ("a", "type_paused"),
    ]  # fmt: skip
    assert listed[1]["why"] == {
        "reason": "type_paused", "detail": "Its type is paused, by ann.",
        "wouldChange": "It starts once its type is resumed, and then a worker is there that serves"
        " its type.",
    }  # fmt: skip
    assert "payload" not in listed[0]
    both = (await api.get("/tasks?include=why,payload&limit=1")).json()["tasks"]
    assert [sorted(one.keys() & {"payload", "why"}) for one in both] == [["payload", "why"]]
    assert "why" not in (await api.get("/tasks?limit=1")).json()["tasks"][0]


async def test_what_is_not_there_is_404_and_what_is_wrong_422(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("a")
    problem(await api.get("/tasks/nobody/why"), 404)
    assert parameters(await api.get("/tasks/a/why?wait=1")) == ["wait"]
    assert parameters(await api.get("/dead-letters?include=why")) == ["include"]
