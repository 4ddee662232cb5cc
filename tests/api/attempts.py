"""What tests of workers that claim by the API ask of it."""

from __future__ import annotations

from typing import Any

import httpx

from tests.api.checks import problem
from tests.conformance.stage import Stage

CLAIM = "claim-0123456789"


async def claim(
    api: httpx.AsyncClient, name: str = CLAIM, status: int = 200, **more: Any
) -> list[dict[str, Any]]:
    """What a claim of the worker `w` gives, for tasks of the default type."""
    body = {"claim": name, "worker": "w", "types": ["default"], "limit": 10, **more}
    answer = await api.post("/attempts/claim", json=body)
    if status != 200:
        problem(answer, status)
        return []
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["attempts"]
    return found


async def settle(api: httpx.AsyncClient, *items: Any) -> list[dict[str, Any]]:
    answer = await api.post("/attempts/settle", json={"attempts": items})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    assert [one["token"] for one in found] == [
        item["token"] if isinstance(item, dict) and isinstance(item.get("token"), str) else None
        for item in items
    ]
    return found


async def settled(api: httpx.AsyncClient, token: str, **item: Any) -> tuple[int, str | None]:
    """The status of one settlement, and the task's state after it."""
    (result,) = await settle(api, {"token": token, **item})
    return result["status"], result.get("state")


async def extend(
    api: httpx.AsyncClient, *tokens: str, worker: str = "w", seconds: float = 60
) -> httpx.Response:
    body = {"leaseSeconds": seconds, "tokens": tokens}
    return await api.post(f"/workers/{worker}/extend", json=body)


async def one(api: httpx.AsyncClient, stage: Stage, task_id: str = "t", **options: Any) -> str:
    """The token of an attempt at a new task."""
    await stage.submit(task_id, **options)
    (mine,) = await claim(api)
    return str(mine["token"])
