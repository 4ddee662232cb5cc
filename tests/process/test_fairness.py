"""A real service by HTTP: no tenant starves another, and what fails is left alone meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.process.service import Service, service, until

FLOOD = 2_000
DEPENDING = 20


class Http:
    """The calls that these tests make."""

    def __init__(self, running: Service, client: httpx.AsyncClient) -> None:
        self.running = running
        self._client = client

    async def submit(self, tasks: list[dict[str, Any]]) -> None:
        text = "\n".join(json.dumps({"payload": {}} | task) for task in tasks)
        headers = {"Content-Type": "application/x-ndjson"}
        answer = await self._client.post("/tasks/batch", content=text, headers=headers)
        assert answer.json()["accepted"] == len(tasks)

    async def change(self, task_type: str, **members: Any) -> None:
        answer = await self._client.patch(f"/types/{task_type}", json=members)
        assert answer.status_code == 200, answer.text

    async def get(self, path: str) -> Any:
        answer = await self._client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def when(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """What is there, once this holds."""
        end = time.monotonic() + 30
        while not holds(found := await self.get(path)):
            assert time.monotonic() < end, found
            await asyncio.sleep(0.01)
        return found

    async def attempts(self) -> int:
        """How many have started of all tasks."""
        listed = await self.get("/tasks?limit=1000")
        return sum(task["attemptCount"] for task in listed["tasks"])


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[Http]:
    given = {"handler": "process_app:handlers", "concurrency": 4} | settings
    async with service(folder, "serve", **given) as running:
        url = running.ready.removeprefix("unlost is listening on ").strip()
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            yield Http(running, client)


def of(tenant: str, number: int) -> list[dict[str, Any]]:
    payload = {"seconds": 0.02}
    return [
        {"taskId": f"{tenant}{n}", "type": "works", "key": tenant, "payload": payload}
        for n in range(number)
    ]


async def test_a_tenant_that_floods_the_service_does_not_starve_another(tmp_path: Path) -> None:
    async with serving(tmp_path) as http:
        await http.change("works", keyLimit=1)
        await http.submit(of("a", FLOOD))
        await http.when("/stats", lambda stats: stats["states"]["succeeded"] > 0)
        await http.submit(of("b", 5))
        path = "/tasks?state=succeeded&idPrefix=b"
        await http.when(path, lambda listed: len(listed["tasks"]) == 5)
        stats = await http.get("/stats")
        assert stats["outstanding"] > FLOOD * 3 / 4
        assert stats["states"]["running"] <= 1


async def test_what_fails_is_left_alone_until_it_works_again_and_then_all_is_done(
    tmp_path: Path,
) -> None:
    (tmp_path / "down").touch()
    breaker = {"minimum": 4, "openSeconds": 1, "probes": 1}

    def circuit(found: Any) -> Any:
        (one,) = found["types"]
        return one["circuit"]

    async with serving(tmp_path, max_retries=2, backoff_base=0.01) as http:
        await http.change("depends", breaker=breaker)
        await http.submit([{"taskId": f"t{n}", "type": "depends"} for n in range(DEPENDING)])
        opened = await http.when("/types", lambda found: circuit(found) == "open")
        spent = await http.attempts()
        assert spent <= 4 + 4  # what opened it, and what ran beside
        until_then = opened["types"][0]["opensUntil"]
        await http.when(
            "/types", lambda found: found["types"][0]["opensUntil"] not in (None, until_then)
        )
        probes = await http.attempts() - spent
        assert 1 <= probes <= 3  # one, or some more where this machine was slow to look
        (tmp_path / "down").unlink()
        stats = await http.when("/stats", lambda stats: not stats["outstanding"])
        assert stats["states"]["succeeded"] == DEPENDING
        assert circuit(await http.get("/types")) == "closed"
        assert await http.attempts() <= DEPENDING + spent + probes + 1
        await until(lambda: len(http.running.events("circuit.closed")) == 1)
        (told,) = http.running.events("circuit.opened")
        assert (told["level"], told["type"]) == ("warning", "depends")
        audit = await http.get("/audit")
        assert (audit["ok"], audit["lost"]) == (True, 0)
