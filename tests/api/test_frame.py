"""What a home's frame allows: narrower bounds than the contract's, and calls it does not offer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from msgspec.structs import replace
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.checks import pointers, problem
from tests.conformance.stage import Clock, Stage
from unlost.api.app import create_app
from unlost.api.frame import Frame
from unlost.aws.api import quoted
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger
from unlost.settings import Settings

FRAME = Frame(
    instead={"/audit": "`unlost audit`", "/events": "?wait="},
    batch_tasks=3,
    batch_bytes=1000,
    longest_timeout=45.5,
    longest_wait=0.1,
    page_bytes=4000,
    measured=quoted,
)


@pytest.fixture
async def framed(clock: Clock) -> AsyncIterator[tuple[httpx.AsyncClient, Stage]]:
    ledger = MemoryLedger(clock)

    async def opener() -> Ledger:
        return ledger

    transport = httpx.ASGITransport(create_app(ledger, Settings(), clock, frame=FRAME))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client, Stage(ledger, clock, opener)


Framed = tuple[httpx.AsyncClient, Stage]


async def test_what_is_not_offered_is_501_and_names_what_to_use(framed: Framed) -> None:
    client, _ = framed
    for path in ("/audit", "/events"):
        for asked in (path, f"{path}?x=1"):
            told = problem(await client.get(asked), 501)
            assert FRAME.instead[path] in told["detail"]
    assert (await client.post("/audit")).status_code == 405


async def test_a_batch_is_bounded_in_tasks_and_bytes(framed: Framed) -> None:
    client, _ = framed
    tasks = [{"taskId": str(number), "payload": {}} for number in range(4)]

    problem(await client.post("/tasks/batch", json={"tasks": tasks}), 413)
    lines = "\n".join(json.dumps(task) for task in tasks)
    ndjson = {"Content-Type": "application/x-ndjson"}
    problem(await client.post("/tasks/batch", content=lines, headers=ndjson), 413)
    problem(await client.post("/tasks/batch", content=" " * 1001), 413)
    assert (await client.post("/tasks/batch", json={"tasks": tasks[:3]})).json()["accepted"] == 3


async def test_a_timeout_is_bounded_for_one_and_for_each_of_many(framed: Framed) -> None:
    client, _ = framed

    def task(task_id: str, seconds: float) -> dict[str, object]:
        return {"taskId": task_id, "payload": {}, "timeoutSeconds": seconds}

    refused = await client.post("/tasks", json=task("a", 45.6))
    assert pointers(refused) == ["#/timeoutSeconds"]
    assert "45.5" in refused.json()["detail"]
    assert (await client.post("/tasks", json=task("b", 45.5))).status_code == 202
    both = await client.post("/tasks/batch", json={"tasks": [task("c", 46), task("d", 1)]})
    assert [one["status"] for one in both.json()["results"]] == [422, 202]


async def test_a_wait_is_answered_a_little_earlier_with_the_task_as_it_is(framed: Framed) -> None:
    client, stage = framed
    await stage.submit("t")

    async with asyncio.timeout(5):
        answer = await client.get("/tasks/t?wait=30")

    assert (answer.status_code, answer.json()["state"]) == (200, "queued")


@pytest.mark.parametrize("include", ["", "&include=payload"])
async def test_a_page_fits_however_it_is_quoted_and_the_next_goes_on(
    framed: Framed, include: str
) -> None:
    client, stage = framed
    names = [f't{number}"' + "ü" * 50 for number in range(30)]
    await stage.submit(*names, payload='{"x":"' + '\\"' * 300 + '"}')

    query, seen, pages = f"/tasks?limit=25{include}", [], 0
    cursor: str | None = ""
    while cursor is not None:
        answer = await client.get(query + (f"&cursor={cursor}" if cursor else ""))
        assert len(json.dumps(answer.text, ensure_ascii=False).encode()) <= 4000
        seen += [task["taskId"] for task in answer.json()["tasks"]]
        cursor, pages = answer.json()["nextCursor"], pages + 1

    assert seen == names[::-1]
    assert pages > 2


async def test_what_a_claim_gives_fits_however_it_is_quoted_and_the_rest_waits(
    framed: Framed,
) -> None:
    _, stage = framed
    await stage.submit("a", "b", payload=json.dumps([""] * 950, separators=(",", ":")))
    frame = replace(FRAME, page_bytes=10_000, longest_claim=0.1)
    app = create_app(stage.ledger, Settings(), stage.clock, frame=frame)
    claim = {"worker": "w", "types": ["default"], "limit": 2, "wait": 30}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for name, given in (("one", ["a"]), ("two", ["b"]), ("three", [])):
            body = claim | {"claim": f"claim-0123456789-{name}"}
            async with asyncio.timeout(10):
                answer = await client.post("/attempts/claim", json=body)
            assert quoted(answer.content) <= 10_000
            assert [one["taskId"] for one in answer.json()["attempts"]] == given
    assert (await stage.record("b")).attempt_count == 1


async def test_a_task_that_is_too_large_for_a_page_has_one_to_itself(framed: Framed) -> None:
    client, stage = framed
    await stage.submit("a", "b", payload='{"x":"' + "a" * 5000 + '"}')

    first = (await client.get("/tasks?include=payload")).json()
    second = (await client.get(f"/tasks?include=payload&cursor={first['nextCursor']}")).json()

    assert [task["taskId"] for task in first["tasks"]] == ["b"]
    assert [task["taskId"] for task in second["tasks"]] == ["a"]


async def test_the_document_and_the_page_tell_the_frame(framed: Framed) -> None:
    client, _ = framed
    document = (await client.get("/openapi.json")).json()

    OpenAPIV31SpecValidator(document).validate()
    schemas = document["components"]["schemas"]
    for new in ("NewTask", "NewSchedule"):
        assert "45.5" in schemas[new]["properties"]["timeoutSeconds"]["description"]
    assert schemas["NewBatch"]["properties"]["tasks"]["maxItems"] == 3
    for path in FRAME.instead:
        assert set(document["paths"][path]["get"]["responses"]) == {"500", "501", "503"}
        assert f'href="{path}"' not in (await client.get("/")).text


async def test_where_paths_come_decoded_nothing_that_has_one_is_named_like_a_call(
    clock: Clock,
) -> None:
    frame = replace(FRAME, decoded_paths=True, legible=True)
    transport = httpx.ASGITransport(create_app(MemoryLedger(clock), Settings(), clock, frame=frame))
    schedule = {"every": 60, "type": "mail", "payload": {}}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for name in ("run", "pause", "resume", "stop"):
            told = problem(await client.put(f"/schedules/{name}", json=schedule), 422)
            assert "the name of a call" in told["detail"]
            for path in ("/redrives", "/dead-letters/redrive"):
                problem(await client.post(path, json={"all": True, "id": name}), 422)
        assert (await client.put("/schedules/runs", json=schedule)).status_code == 201
        answer = await client.post("/redrives", json={"all": True, "id": "runs"})
        assert answer.status_code == 201
