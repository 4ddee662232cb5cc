"""Below a path of a proxy: calls are the same with and without it, and what is sent out has it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.checks import problem
from tests.conformance.stage import Clock
from unlost.api.app import create_app
from unlost.ledger.memory import MemoryLedger
from unlost.settings import TAKEN, Settings

ROOT = "/a/unlost"


@pytest.fixture
async def below(clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(MemoryLedger(clock), Settings(root_path=ROOT, auth="none"), clock)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize("path", ["/stats", "/livez", "/openapi.json", "/docs", "/", "/tasks"])
async def test_calls_are_answered_with_and_without_the_path(
    below: httpx.AsyncClient, path: str
) -> None:
    bare = await below.get(path)
    whole = await below.get(ROOT + path)

    assert (bare.status_code, bare.content) == (whole.status_code, whole.content)
    assert bare.status_code == 200


@pytest.mark.parametrize("prefix", ["", ROOT])
async def test_where_a_task_is_has_the_path_in_front(below: httpx.AsyncClient, prefix: str) -> None:
    answer = await below.post(prefix + "/tasks", json={"taskId": "a/b c", "payload": {}})

    assert answer.headers["location"] == f"{ROOT}/tasks/a%2Fb%20c"
    assert (await below.get(answer.headers["location"])).json()["taskId"] == "a/b c"


async def test_what_is_not_below_the_path_is_nothing(below: httpx.AsyncClient) -> None:
    for path in ("/a", "/a/unlosttasks", "/a/unlost2/stats", ROOT * 2 + "/stats", "/unlost/stats"):
        problem(await below.get(path), 404)


@pytest.mark.parametrize("page", [ROOT, f"{ROOT}/", "/"])
async def test_the_pages_lead_below_the_path(below: httpx.AsyncClient, page: str) -> None:
    text = (await below.get(page)).text
    links = re.findall(r'(?:href|src)="([^"]*)"', text)

    assert len(links) > 8
    for link in links:
        assert link.startswith(("#", ROOT + "/"))
        if not link.startswith("#"):
            assert (await below.get(link)).status_code == 200


async def test_the_document_is_of_what_is_below_the_path(below: httpx.AsyncClient) -> None:
    document = (await below.get("/openapi.json")).json()

    assert document["servers"] == [{"url": ROOT}]


async def test_no_path_of_the_services_own_can_be_the_root(api: httpx.AsyncClient) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"]

    assert {path.split("/")[1] for path in paths} - {""} <= {*TAKEN}
