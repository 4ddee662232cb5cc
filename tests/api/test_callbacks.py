"""`callbackUrl`: what may be named, where it is shown; and the type that is the service's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.checks import problem
from tests.conformance.stage import Clock, Stage
from tests.webhooks.receiver import SECRET
from unlost.api.app import create_app
from unlost.settings import Settings
from unlost.task import WEBHOOK_TYPE

URL = "https://hook.example.com/x?y=%20"

Calls = Callable[..., httpx.AsyncClient]


@pytest.fixture
def calls(stage: Stage, clock: Clock) -> Calls:
    """Calls of an app with these settings."""

    def client(**settings: Any) -> httpx.AsyncClient:
        app = create_app(stage.ledger, Settings(**settings), clock)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")

    return client


def task(**options: object) -> dict[str, object]:
    return {"taskId": "a", "payload": {}, **options}


async def test_it_is_shown_wherever_the_task_is(calls: Calls, stage: Stage) -> None:
    async with calls(webhook_secret=SECRET) as api:
        first = await api.post("/tasks", json=task(callbackUrl=URL))
        shown = await api.get("/tasks/a")
        listed = (await api.get("/tasks")).json()["tasks"]
        await api.post("/tasks", json=task(taskId="b"))
        other = (await api.get("/tasks/b")).json()
    assert (first.status_code, first.json()["callbackUrl"]) == (202, URL)
    assert shown.content == first.content
    assert listed[0]["callbackUrl"] == URL
    assert "callbackUrl" not in other
    assert (await stage.record("a")).carried == f'{{"callbackUrl":"{URL}"}}'


async def test_it_counts_in_what_makes_a_task_the_same(calls: Calls) -> None:
    async with calls(webhook_secret=SECRET) as api:
        same = [task(callbackUrl=URL), task(callbackUrl=URL)]
        others = [task(callbackUrl=URL + "z"), task()]
        answers = [(await api.post("/tasks", json=one)).status_code for one in (*same, *others)]
    assert answers == [202, 200, 409, 409]


@pytest.mark.parametrize(
    "url",
    [None, 5, "", "hook", "http://hook.example.com/", "ftp://x.example/", "https://10.0.0.1/",
     "https://u:p@hook.example.com/", "https://hook.example.com/#a", "https://x/" + "x" * 2000]
)  # fmt: skip
async def test_what_may_not_be_named_is_422(calls: Calls, url: object) -> None:
    async with calls(webhook_secret=SECRET) as api:
        refused = await api.post("/tasks", json=task(callbackUrl=url))
        batch = await api.post("/tasks/batch", json={"tasks": [task(callbackUrl=url)]})
    assert [fault["pointer"] for fault in problem(refused, 422)["errors"]] == ["#/callbackUrl"]
    assert batch.json()["results"][0]["status"] == 422


async def test_private_addresses_and_http_may_be_named_where_that_is_allowed(calls: Calls) -> None:
    async with calls(webhook_secret=SECRET, webhook_allow_private=True) as api:
        answer = await api.post("/tasks", json=task(callbackUrl="http://10.0.0.1:8080/hook"))
    assert answer.status_code == 202


async def test_a_service_that_sends_none_says_so_and_does_not_offer_it(calls: Calls) -> None:
    async with calls() as api:
        refused = await api.post("/tasks", json=task(callbackUrl=URL))
        document = (await api.get("/openapi.json")).json()
    assert "--webhook-secret" in problem(refused, 422)["errors"][0]["detail"]
    assert "callbackUrl" not in document["components"]["schemas"]["NewTask"]["properties"]


@pytest.mark.parametrize(("private", "pattern"), [(True, "^https?://"), (False, "^https://")])
async def test_the_document_says_what_may_be_named(
    calls: Calls, private: bool, pattern: str
) -> None:
    async with calls(webhook_secret=SECRET, webhook_allow_private=private) as api:
        document = (await api.get("/openapi.json")).json()
    said = document["components"]["schemas"]["NewTask"]["properties"]["callbackUrl"]
    assert (said["pattern"], said["maxLength"]) == (pattern, 2000)


@pytest.mark.parametrize("kind", [WEBHOOK_TYPE, "unlost.", "unlost.anything"])
async def test_nobody_may_submit_what_is_the_service_s_own(
    calls: Calls, stage: Stage, kind: str
) -> None:
    async with calls(webhook_secret=SECRET) as api:
        refused = await api.post("/tasks", json=task(type=kind))
        batch = await api.post("/tasks/batch", json={"tasks": [task(type=kind)]})
        listed = await api.get("/tasks", params={"type": kind})
    assert problem(refused, 422)["errors"][0]["pointer"] == "#/type"
    assert batch.json()["results"][0]["status"] == 422
    assert listed.json()["tasks"] == []
    assert (await stage.ledger.counts()).accepted == 0


async def test_a_delivery_can_be_redriven_but_not_with_another_payload(
    calls: Calls, stage: Stage
) -> None:
    await stage.bury("webhook_1", type=WEBHOOK_TYPE)
    async with calls(webhook_secret=SECRET) as api:
        edited = await api.post("/dead-letters/webhook_1/redrive", json={"payload": {"x": 1}})
        plain = await api.post("/dead-letters/webhook_1/redrive")
    assert problem(edited, 422)["errors"][0]["pointer"] == "#/payload"
    assert plain.status_code == 202


async def test_the_secret_is_in_no_answer(calls: Calls) -> None:
    async with calls(webhook_secret=SECRET, webhook_url=URL) as api:
        paths = ("/", "/stats", "/audit", "/metrics", "/openapi.json", "/docs", "/readyz")
        answers = [(await api.get(path)).text for path in paths]
    assert not any(SECRET in answer or SECRET[6:] in answer for answer in answers)
    assert SECRET not in repr(Settings(webhook_secret=SECRET))
