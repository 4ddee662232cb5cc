"""A query with what a call does not take is refused, by all calls alike."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest

from tests.api.checks import parameters
from unlost.api.app import App
from unlost.api.openapi.operation import Operation

PASSED_OVER = {"live", "ready", "openapi", "docs", "home", "consoleFile", "consoleFileBelow"}
"""Probes and pages, which are for everybody, however asked for."""


async def refused(api: httpx.AsyncClient, operation: Operation, name: str) -> bool:
    """Whether a call is refused because of this parameter, and of nothing else."""
    path = re.sub(r"\{\w+\}", "x", operation.path)
    body: dict[str, str] | None = None if operation.body is None else {}
    async with asyncio.timeout(5):  # a stream would not end
        answer = await api.request(operation.method, path, params={name: "1"}, json=body)
    return answer.status_code == 422 and parameters(answer) == [name]


@pytest.mark.parametrize("name", ["nonsense", "Limit", "api_key"])
async def test_an_unknown_parameter_is_422_in_every_call_but_those_of_probes_and_pages(
    app: App, api: httpx.AsyncClient, name: str
) -> None:
    operations = [route.operation for route in app.routes]
    passed_over = {one.name for one in operations if not await refused(api, one, name)}
    assert passed_over == PASSED_OVER


async def test_nothing_is_done_where_a_parameter_is_unknown(api: httpx.AsyncClient) -> None:
    task = {"taskId": "t", "payload": {}}
    assert parameters(await api.post("/tasks?type=mail", json=task)) == ["type"]
    batch = await api.post("/tasks/batch?type=mail", json={"tasks": [task]})
    assert parameters(batch) == ["type"]
    assert (await api.get("/tasks/t")).status_code == 404
    assert parameters(await api.patch("/types/mail?reason=slow", json={"limit": 1})) == ["reason"]
    assert (await api.get("/types")).json() == {"types": []}


async def test_an_empty_query_is_none(api: httpx.AsyncClient) -> None:
    for path in ("/stats?", "/stats?&", "/audit?"):
        assert (await api.get(path)).status_code == 200
