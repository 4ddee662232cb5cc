"""What comes through a real nginx: paths, refusals, streams, where a call came from."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.proxies.nginx import (
    BELOW_A_PATH,
    BY_DEFAULT,
    GZIPPED,
    OWN_NAME,
    STRIPPED,
    behind_nginx,
)

BELOW = {"root_path": "/unlost"}
NAMED = {"allowed_host": ("jobs.example.com",)}
ROADS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "own name": (OWN_NAME, "", {}),
    "below a path": (BELOW_A_PATH, "/unlost", BELOW),
    "path taken away": (STRIPPED, "/unlost", BELOW),
    "by default": (BY_DEFAULT, "", {}),
}
AS_SENT = ["own name", "below a path", "by default"]
IDS = ["plain", "a/b", "a?b", "a%2Fb", "a b", "é", "...", "a//b", "a+b", "batch"]


@pytest.mark.parametrize("road", ROADS)
async def test_a_task_is_where_its_answer_says(tmp_path: Path, road: str) -> None:
    servers, root, given = ROADS[road]
    async with behind_nginx(tmp_path, servers, **given) as front:
        for task_id in IDS if road in AS_SENT else ["plain", "é", "..."]:
            task = {"taskId": task_id, "payload": {}}
            stored = await front.http.post(f"{root}/tasks", json=task)
            assert stored.status_code == 202
            assert stored.headers["location"] == f"{root}/tasks/{quote(task_id, safe='')}"
            shown = await front.http.get(stored.headers["location"])
            assert shown.json()["taskId"] == task_id
            assert (await front.http.head(stored.headers["location"])).status_code == 200
            where = f"{root}/tasks/{quote(task_id, safe='')}/cancel"
            assert (await front.http.post(where)).json()["taskId"] == task_id


async def test_a_path_that_nginx_decodes_does_not_lead_to_an_id_with_a_slash(
    tmp_path: Path,
) -> None:
    async with behind_nginx(tmp_path, STRIPPED, **BELOW) as front:
        task = {"taskId": "a/b", "payload": {}}
        stored = await front.http.post("/unlost/tasks", json=task)
        assert (await front.http.get(stored.headers["location"])).status_code == 404


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("road", ROADS)
async def test_a_refusal_before_the_end_of_a_body_is_the_answer(
    tmp_path: Path, road: str, unbuffered: bool
) -> None:
    servers, root, given = ROADS[road]
    more = "client_max_body_size 64m;" * ("64m" not in servers)
    more += "proxy_request_buffering off;" * unbuffered
    servers = servers.replace("location ", more + " location ")
    body = b'{"taskId": "x", "payload": {"x": "' + b"x" * 8_000_000 + b'"}}'
    async with behind_nginx(tmp_path, servers, **given) as front:
        for _ in range(5):
            answer = await front.http.post(
                f"{root}/tasks", content=body, headers={"Content-Type": "application/json"}
            )
            assert (answer.status_code, answer.json()["status"]) == (413, 413)
            foreign = await front.http.post(
                f"{root}/tasks", content=body, headers={"Sec-Fetch-Site": "cross-site"}
            )
            assert foreign.status_code == 403
        assert (await front.http.get(f"{root}/stats")).json()["accepted"] == 0


@pytest.mark.parametrize("road", ROADS)
async def test_events_come_as_they_happen(tmp_path: Path, road: str) -> None:
    servers, root, given = ROADS[road]
    async with (
        behind_nginx(tmp_path, servers, **given) as front,
        front.http.stream("GET", f"{root}/events") as stream,
        asyncio.timeout(10),
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == ": following"
        await front.http.post(f"{root}/tasks", json={"taskId": "t", "payload": {}})
        async for line in lines:
            if line.startswith("data: "):
                assert json.loads(line.removeprefix("data: "))["taskId"] == "t"
                break


async def test_gzip_holds_events_back_only_where_nginx_is_told_to_pass_over_our_header(
    tmp_path: Path,
) -> None:
    async with (
        behind_nginx(tmp_path, GZIPPED) as front,
        front.http.stream("GET", "/events") as stream,
    ):
        assert stream.headers["content-encoding"] == "gzip"
        assert await asyncio.wait_for(anext(stream.aiter_lines()), 10) == ": following"
    deaf = GZIPPED.replace("proxy_pass", "proxy_ignore_headers X-Accel-Buffering; proxy_pass")
    async with behind_nginx(tmp_path, deaf) as front:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.7), front.http.stream("GET", "/events") as stream:
                await anext(stream.aiter_lines())


async def test_large_answers_are_whole_through_gzip(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path, GZIPPED) as front:
        tasks = [{"taskId": f"t{n}", "payload": {"x": "y" * 2_000}} for n in range(500)]
        await front.http.post("/tasks/batch", json={"tasks": tasks[:250]})
        await front.http.post("/tasks/batch", json={"tasks": tasks[250:]})
        answer = await front.http.get("/tasks?limit=1000&include=payload")
        assert answer.headers["content-encoding"] == "gzip"
        assert {task["taskId"] for task in answer.json()["tasks"]} == {t["taskId"] for t in tasks}


async def submitted(front: Any, origin: str, **headers: str) -> httpx.Response:
    answer: httpx.Response = await front.http.post(
        "/tasks", json={"taskId": "t", "payload": {}}, headers={"Origin": origin, **headers}
    )
    return answer


async def test_pages_of_its_own_are_known_by_the_host_that_nginx_hands_on(tmp_path: Path) -> None:
    servers = OWN_NAME.replace("listen 443 ssl", "listen 80")
    async with behind_nginx(tmp_path, servers, **NAMED) as front:
        host = f"jobs.example.com:{front.port}"
        assert (await submitted(front, f"http://{host}", Host=host)).status_code == 202
        assert (await submitted(front, "http://evil.example", Host=host)).status_code == 403


async def test_with_another_host_the_refusal_says_what_differs_and_two_settings_mend_it(
    tmp_path: Path,
) -> None:
    origin, host = "https://jobs.example.com", "jobs.example.com"
    for servers in (BY_DEFAULT, BY_DEFAULT.replace("proxy_pass", "proxy_set_header Host $host; "
                                                   "proxy_pass")):  # fmt: skip
        async with behind_nginx(tmp_path, servers, **NAMED) as front:
            refused = await submitted(front, f"{origin}:8443", Host=f"{host}:8443")
            assert refused.status_code == 403
            for part in ("https://jobs.example.com:8443", "Host is ", "Host $http_host"):
                assert part in refused.json()["detail"]
            assert (await submitted(front, origin, Host=host)).status_code == 202
    forwarding = BY_DEFAULT.replace(
        "proxy_pass", "proxy_set_header X-Forwarded-Host $http_host; proxy_pass"
    )
    believed = {"forwarded_allow_ips": ("127.0.0.0/8",)}
    async with behind_nginx(tmp_path, forwarding, **believed) as front:
        assert (await submitted(front, f"{origin}:8443", Host=f"{host}:8443")).status_code == 202
    async with behind_nginx(tmp_path, forwarding) as front:
        assert (await submitted(front, f"{origin}:8443", Host=f"{host}:8443")).status_code == 403
