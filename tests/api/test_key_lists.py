"""What a key for some types gets to see of all: lists, groups, events, workers, sums."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tests.api.keyring import Of, buried, task
from tests.conformance.stage import Clock, Stage
from unlost.api.app import create_app
from unlost.audit import FOLLOWED, REDRIVES, SCHEDULES, TWICE, Audit, Violation, audit
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import NewStep
from unlost.settings import Settings


async def test_lists_leave_out_tasks_of_other_types_and_come_to_their_end(
    stage: Stage, of: Of
) -> None:
    names = [f"{task_type}-{number}" for number in range(6) for task_type in ("mail", "sms", "fax")]
    for name in names:
        await of("all").post("/tasks", json=task(name, type=name[:-2].rstrip("-")))
        stage.clock.advance(1)
        await stage.die(await stage.run(name))

    async def listed(key: str, path: str, **query: object) -> list[str]:
        found: list[str] = []
        cursor: str | None = None
        for _ in range(50):
            asked: dict[str, Any] = {"limit": 4, **query} | ({"cursor": cursor} if cursor else {})
            page = (await of(key).get(path, params=asked)).json()
            found += [one["taskId"] for one in page["tasks"]]
            cursor = page["nextCursor"]
            if cursor is None:
                return found
        raise AssertionError("no end")

    for path in ("/tasks", "/dead-letters"):
        for include in ({}, {"include": "payload"}):
            assert await listed("all", path, **include) == names[::-1]
            mine = [name for name in names[::-1] if name.startswith("mail")]
            assert await listed("mail", path, **include) == mine
            two = [name for name in names[::-1] if not name.startswith("sms")]
            assert await listed("two", path, **include) == two
            assert await listed("two", path, type="sms", **include) == []
            assert await listed("mail", path, type="sms", **include) == []
            assert await listed("two", path, type="mail", **include) == mine


async def test_pages_of_a_key_of_several_types_are_full(stage: Stage, of: Of) -> None:
    for number in range(12):
        await of("all").post(
            "/tasks", json=task(f"t{number}", type=("mail", "fax", "sms")[number % 3])
        )
        stage.clock.advance(1)

    page = (await of("two").get("/tasks", params={"limit": 4})).json()

    assert [one["taskId"] for one in page["tasks"]] == ["t10", "t9", "t7", "t6"]


async def test_groups_and_bulk_redrives_leave_out_other_types(stage: Stage, of: Of) -> None:
    for name, task_type in (("a", "mail"), ("b", "sms"), ("c", "fax")):
        await buried(stage, of, name, task_type)
    counts = {
        name: [
            one["count"] for one in (await of(name).get("/dead-letters/groups")).json()["groups"]
        ]
        for name in ("all", "mail", "two")
    }
    assert counts == {"all": [3], "mail": [1], "two": [2]}

    ids = {"taskIds": ["a", "b", "c"]}
    redriven = await of("mail").post("/dead-letters/redrive", json=ids)
    assert redriven.json()["redriven"] == 1
    redriven = await of("two").post("/dead-letters/redrive", json={"all": True})
    assert redriven.json()["redriven"] == 1
    assert (await stage.record("b")).state == "dead"


async def test_a_redrive_tells_nothing_of_the_steps_of_another_types_task(
    stage: Stage, of: Of
) -> None:
    for name, task_type in (("sms", "sms"), ("mail", "mail")):
        await of("all").post("/tasks", json=task(name, type=task_type))
        attempt = await stage.run(name)
        await stage.ledger.record_step(NewStep(name, attempt.token, "charge", "1"))
        await stage.die(attempt)
    told = {}
    for name in ("sms", "mail", "none"):
        edit = {"taskIds": [name], "payload": {}}
        told[name] = await of("mail").post("/redrives", json=edit)
    assert {name: answer.status_code for name, answer in told.items()} == {
        "sms": 201, "none": 201, "mail": 422
    }  # fmt: skip
    selected = [told[name].json()["selected"] for name in ("sms", "none")]
    assert selected == [0, 0]
    assert (await stage.record("sms")).state == "dead"


async def test_events_of_other_types_are_not_told(of: Of, stage: Stage, clock: Clock) -> None:
    seen = {name: await followed(stage, clock, name) for name in ("all", "mail")}
    for number, task_type in enumerate(("sms", "mail", "sms", "mail")):
        await of("all").post("/tasks", json=task(f"t{number}", type=task_type))
    told = {name: await one(4 if name == "all" else 2) for name, one in seen.items()}

    assert told == {"all": ["t0", "t1", "t2", "t3"], "mail": ["t1", "t3"]}


async def followed(stage: Stage, clock: Clock, name: str) -> Callable[[int], Awaitable[list[str]]]:
    """Follow the events as this key; tells the ids of so many of them once they have come."""
    app = create_app(stage.ledger, Settings(auth="keys"), clock)
    begun, told, some = asyncio.Event(), [], asyncio.Event()
    headers = [(b"authorization", f"Bearer {name}".encode()), (b"host", b"unlost.test")]
    scope = {
        "type": "http", "method": "GET", "path": "/events", "raw_path": b"/events",
        "query_string": b"", "headers": headers, "client": None, "scheme": "http",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        for line in message.get("body", b"").splitlines():
            if line.startswith(b"data:"):
                told.append(json.loads(line[5:])["taskId"])
                some.set()
        begun.set()

    running = asyncio.create_task(app(scope, receive, send))
    await asyncio.wait_for(begun.wait(), 10)

    async def first(number: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(told) < number:
                some.clear()
                await some.wait()
        app.let_go()
        await running
        return told

    return first


async def test_workers_show_what_they_run_of_the_types_that_are_there(stage: Stage, of: Of) -> None:
    for name, task_type in (("a", "mail"), ("b", "sms")):
        await of("all").post("/tasks", json=task(name, type=task_type))
    await stage.claim(2)
    [every] = (await of("all").get("/workers")).json()["workers"]
    [mine] = (await of("mail").get("/workers")).json()["workers"]
    assert {one["taskId"] for one in every["running"]} == {"a", "b"}
    assert [one["taskId"] for one in mine["running"]] == ["a"]


async def test_sums_are_the_whole_services(stage: Stage, of: Of) -> None:
    await of("all").post("/tasks", json=task("a", type="sms"))
    for path in ("/stats", "/audit"):
        assert (await of("mail").get(path)).json()["accepted"] == 1


async def test_an_audit_names_no_schedules_redrives_or_tasks_of_other_types(
    of: Of, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, task_type in (("mine", "mail"), ("others", "sms")):
        await of("all").post("/tasks", json=task(name, type=task_type))
    promises = (SCHEDULES, REDRIVES, TWICE, FOLLOWED, "another")
    violations = [
        Violation(about, promise, f"{promise} of others" if promise != "another" else "told")
        for promise in promises
        for about in (None, "mine", "others")
    ]
    found = replace(await audit(MemoryLedger(Clock())), ok=False, violations=violations)

    async def broken(_: object) -> Audit:
        return found

    monkeypatch.setattr("unlost.api.calls.status.audit", broken)
    told = {name: (await of(name).get("/audit")).json() for name in ("all", "mail")}

    assert [one["detail"] for one in told["all"]["violations"]] == [
        one.detail for one in violations
    ]
    mine = told["mail"]["violations"]
    assert [one["taskId"] for one in mine] == [None, "mine"] * len(promises)
    assert [one["promise"] for one in mine[::2]] == [*promises]
    assert "others" not in str(mine)
    assert [one["detail"] for one in mine[-2:]] == ["told"] * 2
