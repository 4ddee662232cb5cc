"""What holds for every answer of a kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds: what another connection causes has no event to wait for."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


def problem(answer: httpx.Response, status: int, *more: str) -> dict[str, Any]:
    """A refusal must be a problem document that tells nothing of the service's inside; `more` are
    members that it has beyond what all may have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail"} <= body.keys() <= {
        "type", "title", "status", "detail", "errors", *more,
    }  # fmt: skip
    assert body["status"] == status
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    return body


def pointers(answer: httpx.Response) -> list[str]:
    """Which members a 422 complains about."""
    errors = problem(answer, 422)["errors"]
    assert all(error["detail"] for error in errors)
    return sorted(error["pointer"] for error in errors)


def parameters(answer: httpx.Response) -> list[str]:
    """Which parameters of the query a 422 complains about."""
    errors = problem(answer, 422)["errors"]
    assert all(error["detail"] for error in errors)
    return sorted(error["parameter"] for error in errors)
