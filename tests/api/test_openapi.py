"""The OpenAPI document says what the service does, and the service does what it says."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.keyring import Of
from tests.conformance.stage import Clock, Stage
from unlost.api.answers import rendering
from unlost.api.app import App
from unlost.api.openapi import pages

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@pytest.fixture
async def document(api: httpx.AsyncClient) -> dict[str, Any]:
    answer = await api.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method in METHODS
    }


async def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


async def test_it_has_every_route_and_no_other(app: App, document: dict[str, Any]) -> None:
    known = {(route.operation.method, route.operation.path) for route in app.routes}
    files = {(method, path) for method, path in known if path.startswith("/console/")}

    assert operations(document) == known - files


CONTRACT = """
POST /tasks | POST /tasks/batch | GET /tasks/{taskId} | GET /tasks | POST /tasks/{taskId}/cancel
GET /tasks/{taskId}/why
GET /dead-letters | GET /dead-letters/groups | POST /dead-letters/{taskId}/redrive
POST /dead-letters/redrive | DELETE /dead-letters/{taskId} | GET /types | PATCH /types/{type}
POST /redrives | GET /redrives | GET /redrives/{redriveId} | POST /redrives/{redriveId}/stop
POST /attempts/claim | POST /attempts/steps | POST /attempts/settle
POST /workers/{worker}/extend
POST /types/{type}/pause | POST /types/{type}/resume | GET /workers | GET /stats | GET /audit
GET /schedule-times
GET /schedules | GET /schedules/{scheduleId} | PUT /schedules/{scheduleId}
DELETE /schedules/{scheduleId} | POST /schedules/{scheduleId}/run
POST /schedules/{scheduleId}/pause | POST /schedules/{scheduleId}/resume
GET /events | GET /livez | GET /readyz | GET /metrics | GET /openapi.json | GET /docs | GET /
"""


async def test_it_has_the_calls_of_the_contract(document: dict[str, Any]) -> None:
    calls = {tuple(call.split()) for call in CONTRACT.replace("\n", "|").split("|") if call.strip()}

    assert operations(document) == calls


async def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
    ]

    assert len(set(names)) == len(names)


async def test_the_parameters_are_those_of_the_contract(document: dict[str, Any]) -> None:
    def query(method: str, path: str) -> set[str]:
        described = document["paths"][path][method].get("parameters", [])
        return {parameter["name"] for parameter in described if parameter["in"] == "query"}

    assert query("get", "/tasks") == {
        "state", "parent", "type", "idPrefix", "since", "until", "limit", "cursor", "include",
    }  # fmt: skip
    assert query("get", "/dead-letters") == {"type", "error", "limit", "cursor", "include"}
    assert query("get", "/tasks/{taskId}") == {"wait", "include"}


class Checked:
    """Calls the API and holds each answer against what the document says of the operation."""

    def __init__(self, api: httpx.AsyncClient, document: dict[str, Any]) -> None:
        self.api = api
        self.document = document
        self.seen: set[tuple[str, str, int]] = set()

    async def __call__(
        self, method: str, template: str, path: str | None = None, **options: Any
    ) -> None:
        answer = await self.api.request(method, path or template, **options)
        operation = self.document["paths"][template][method.lower()]
        described = operation["responses"][str(answer.status_code)]
        if "$ref" in described:
            described = self.document["components"]["responses"][str(answer.status_code)]
        for header, about in described.get("headers", {}).items():
            assert not about["required"] or header in answer.headers
        content = described.get("content")
        if content is None:
            assert answer.content == b""
        else:
            media_type = answer.headers["content-type"].split(";")[0]
            media = content[media_type]
            if media_type.endswith("json"):
                self._validate(json.loads(answer.text), media["schema"])
        self.seen.add((method, template, answer.status_code))

    def _validate(self, value: object, schema: dict[str, Any]) -> None:
        whole = {**schema, "components": self.document["components"]}
        jsonschema.Draft202012Validator(
            whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        ).validate(value)


async def types_and_workers(check: Checked, stage: Stage) -> None:
    """What is answered about them, whatever is set and whatever runs, and to those that claim."""
    await attempts(check, stage)
    assert len(await stage.claim()) == 1
    await check("PATCH", "/types/{type}", "/types/mail", json={"limit": 2, "breaker": {}})
    await check("PATCH", "/types/{type}", "/types/mail", json={"limit": 0})
    await check("POST", "/types/{type}/pause", "/types/mail/pause", json={"by": "me"})
    await check("GET", "/types")
    await check("POST", "/types/{type}/resume", "/types/mail/resume")
    await check("POST", "/types/{type}/resume", "/types/%00/resume")
    await check("GET", "/workers")
    await check(
        "GET", "/schedule-times", "/schedule-times?cron=30%202%20*%20*%20*&timezone=Europe/Berlin"
    )
    await check("GET", "/schedule-times", "/schedule-times?cron=60%202%20*%20*%20*")


async def whys(check: Checked) -> None:
    """Why tasks wait, alone and in a list."""
    for name in ("gone", "t2", "d1", "nobody"):
        await check("GET", "/tasks/{taskId}/why", f"/tasks/{name}/why")
    await check("GET", "/tasks", params={"include": "why"})
    await check("GET", "/tasks")


async def redrives(check: Checked) -> None:
    """What is answered about them, new and again."""
    for path, body in (
        ("/dead-letters/redrive", {"all": True, "id": "a"}),
        ("/redrives", {"id": "b", "all": True, "canary": 0, "tolerate": None}),
        ("/redrives", {"taskIds": ["d1"], "payload": {}}),
    ):
        await check("POST", path, json=body)
        await check("POST", path, json=body)
        await check("POST", path, json={**body, "by": "me"})
    await check("POST", "/redrives", json={})
    await check("GET", "/redrives")
    await check("GET", "/redrives", params={"state": "x"})
    for name in ("b", "nobody"):
        await check("GET", "/redrives/{redriveId}", f"/redrives/{name}")
        await check("POST", "/redrives/{redriveId}/stop", f"/redrives/{name}/stop")


async def attempts(check: Checked, stage: Stage) -> None:
    """What is answered to a worker that claims."""
    claim: dict[str, Any] = {"claim": "c" * 16, "worker": "w", "types": ["pulled"], "wait": 0.01}
    await check("POST", "/attempts/claim", json=claim)
    await stage.submit("pulled", type="pulled", key="k")
    for body in (claim, {**claim, "worker": "v"}, {}):
        await check("POST", "/attempts/claim", json=body)
    answer = await check.api.post("/attempts/claim", json=claim)
    token = answer.json()["attempts"][0]["token"]
    for step in ({"result": 1}, {"result": 2}, {"result": "x" * 70_000, "name": "large"}, {}):
        for of in (token, "x"):
            body = {"token": of, "name": "x", **step}
            await check("POST", "/attempts/steps", json=body)
    settle: dict[str, Any] = {
        "attempts": [{"token": token, "outcome": "succeeded"}, {"token": "x"}, 5]
    }
    for body in (settle, settle, {"attempts": 5}):
        await check("POST", "/attempts/settle", json=body)
    for lease, worker in ((5, "w"), (5, "nobody"), (4, "w"), (5, "n%20n")):
        path, body = f"/workers/{worker}/extend", {"leaseSeconds": lease, "tokens": [token, "x"]}
        await check("POST", "/workers/{worker}/extend", path, json=body)


def promised(document: dict[str, Any]) -> set[tuple[str, str, int]]:
    """What is answered where all goes well."""
    return {
        (method.upper(), path, int(status))
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for status in operation["responses"]
        if status.startswith("2")
    }


async def schedules(check: Checked) -> None:
    """What is answered about them, and what is done to them."""
    one = "/schedules/{scheduleId}"
    asked = {"cron": "0 0 1 * 1", "timezone": "Europe/Berlin", "type": "mail", "payload": {}}
    for _ in range(2):
        await check("PUT", one, "/schedules/s", json=asked)
    await check("PUT", one, "/schedules/s", json={**asked, "cron": "0 0 31 2 *"})
    for call in ("pause", "resume", "run"):
        await check("POST", f"{one}/{call}", f"/schedules/s/{call}", json={"by": "me"})
        await check("POST", f"{one}/{call}", f"/schedules/nobody/{call}")
    for _ in range(2):
        await check("POST", f"{one}/run", "/schedules/s/run", json={"taskId": "run"})
    await check("GET", one, "/schedules/s?include=ticks")
    await check("GET", one, "/schedules/nobody")
    await check("GET", "/schedules")
    await check("GET", "/schedules", params={"cursor": "ü"})
    await check("DELETE", one, "/schedules/s")


async def test_real_answers_are_as_it_says(
    api: httpx.AsyncClient, document: dict[str, Any], stage: Stage, clock: Clock
) -> None:
    check = Checked(api, document)
    await stage.submit("gone")
    await stage.succeed(await stage.run("gone"), '{"x":[1]}')
    await stage.ledger.purge(clock.advance(10), 10)
    await stage.submit("t2")
    await stage.retry(await stage.run("t2"), wait=5)
    await stage.bury("d1", "d2", "d3")
    include = {"include": "payload,result,attempts,traceback"}
    task = {"taskId": "t1", "payload": {"a": 1}, "key": "ann"}

    await check("GET", "/stats")
    for path, template in (
        ("/tasks/gone", "/tasks/{taskId}"), ("/tasks/t2", "/tasks/{taskId}"),
        ("/tasks/d1", "/tasks/{taskId}"), ("/tasks/nobody", "/tasks/{taskId}"),
        ("/tasks/t2?wait=x", "/tasks/{taskId}"),
    ):  # fmt: skip
        await check("GET", template, path)
    await whys(check)
    await check("GET", "/tasks", params=include)
    await check("GET", "/tasks", params={"limit": "0"})
    await check("GET", "/dead-letters")
    await check("GET", "/dead-letters", params=include)
    await check("GET", "/dead-letters", params={"cursor": "x"})
    await check("GET", "/dead-letters/groups")
    await check("POST", "/tasks", json=task)
    await check("POST", "/tasks", json=task)
    await check("POST", "/tasks", json={**task, "priority": 1})
    await check("POST", "/tasks", json={**task, "nope": 1})
    await check("POST", "/tasks", content="{")
    await check("POST", "/tasks", content=" " * 400_000)
    await check("POST", "/tasks", content="", headers={"Content-Type": "text/plain"})
    await check("POST", "/tasks/batch", json={"tasks": [task, {"taskId": "b"}, 1]})
    await check("POST", "/tasks/batch", json={})
    await check("POST", "/tasks/{taskId}/cancel", "/tasks/t1/cancel", json={"by": "me"})
    await check("POST", "/tasks/{taskId}/cancel", "/tasks/t1/cancel")
    await check("POST", "/tasks/{taskId}/cancel", "/tasks/nobody/cancel")
    for task_id in ("d1", "d1", "nobody"):
        path = f"/dead-letters/{task_id}/redrive"
        await check("POST", "/dead-letters/{taskId}/redrive", path, json={"payload": {}, "id": "1"})
    for task_id in ("d1", "d2", "d2", "nobody"):
        path = f"/dead-letters/{task_id}"
        await check("DELETE", "/dead-letters/{taskId}", path, params={"id": "1"})
    await check("POST", "/dead-letters/redrive", json={"all": False})
    await redrives(check)
    await types_and_workers(check, stage)
    await schedules(check)
    for path in ("/audit", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/"):
        await check("GET", path)
    assert {seen for seen in check.seen if seen[2] < 300} == promised(document) - {
        ("GET", "/events", 200)
    }


async def test_what_is_told_to_keys_that_may_not_read_is_as_it_says(stage: Stage, of: Of) -> None:
    task = {"taskId": "t", "payload": {}}
    assert (await of("shop").post("/tasks", json=task)).status_code == 202
    await stage.bury("d", "e")
    await of("mail").put("/schedules/s", json={"every": 60, "type": "mail", "payload": {}})
    run = {"taskId": "run"}
    assert (await of("all").post("/schedules/s/run", json=run)).status_code == 202
    document = (await of("ops").get("/openapi.json")).json()
    ops, other = Checked(of("ops"), document), Checked(of("other"), document)
    runs = Checked(of("runner"), document)

    await other("POST", "/tasks", json=task)
    await ops("POST", "/tasks/{taskId}/cancel", "/tasks/t/cancel")
    for _ in range(2):
        again = {"json": {"id": "1"}}
        await ops("POST", "/dead-letters/{taskId}/redrive", "/dead-letters/d/redrive", **again)
        await ops("DELETE", "/dead-letters/{taskId}", "/dead-letters/e", params={"id": "1"})
    await runs("POST", "/schedules/{scheduleId}/run", "/schedules/s/run", json=run)
    assert {status for _, _, status in ops.seen | other.seen | runs.seen} == {200, 202, 204}


async def test_the_page_shows_every_operation_and_schema(
    api: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    page = (await api.get("/docs")).text

    for method, path in operations(document):
        assert f"<code>{method} {path}</code>" in page
    for name in document["components"]["schemas"]:
        assert f'<h3 id="{name}">' in page


async def test_the_document_and_its_page_are_made_once(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [(await api.get(path)).content for path in ("/openapi.json", "/docs")]
    for name in ("_described", "_page"):
        monkeypatch.delattr(pages, name)
    monkeypatch.setattr(rendering, "encode", None)
    assert [(await api.get(path)).content for path in ("/openapi.json", "/docs")] == made
