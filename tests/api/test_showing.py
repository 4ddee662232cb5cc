"""`GET /tasks/{taskId}`: the task with everything, now or once it has come to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.api.checks import parameters, problem, until
from tests.api.served import Served, get
from tests.conformance.stage import BOOM, Clock, Stage
from unlost.api.app import App, create_app
from unlost.api.calls.watching.waiting import REREAD
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Transition
from unlost.settings import Settings
from unlost.task import State

MEMBERS = {
    "taskId", "type", "state", "payload", "attemptCount", "maxRetries", "attempts", "error",
    "result", "submittedAt", "updatedAt", "nextAttemptAt", "redriveCount",
}  # fmt: skip


async def shown(api: httpx.AsyncClient, task_id: str, query: str = "") -> dict[str, Any]:
    answer = await api.get(f"/tasks/{task_id}{query}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_an_unknown_task_is_404(api: httpx.AsyncClient) -> None:
    for path in ("/tasks/nobody", "/tasks/a%00b", "/tasks/" + "x" * 256, "/tasks/batch"):
        problem(await api.get(path), 404)


async def test_a_task_shows_every_attempt_and_the_last_error(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await stage.submit("t", max_retries=5)
    clock.advance(1.5)
    await stage.retry(await stage.run("t"), wait=2.25)

    task = await shown(api, "t")

    assert task.keys() == MEMBERS
    assert task["state"] == "retrying"
    assert task["attemptCount"] == 1
    assert task["maxRetries"] == 5
    error = {"type": BOOM.type, "message": BOOM.message, "traceback": BOOM.traceback}
    assert task["error"] == error
    [attempt] = task["attempts"]
    assert attempt == {
        "number": 1,
        "startedAt": task["updatedAt"],
        "finishedAt": task["updatedAt"],
        "outcome": "failed",
        "error": error,
        "nextAttemptAt": task["nextAttemptAt"],
    }
    times = [datetime.fromisoformat(task[name]) for name in ("submittedAt", "nextAttemptAt")]
    assert (times[1] - times[0]).total_seconds() == 3.75


async def test_a_running_attempt_has_no_outcome_yet(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.submit("t")
    await stage.run("t")

    task = await shown(api, "t")

    assert task["state"] == "running"
    assert task["nextAttemptAt"] is None
    [attempt] = task["attempts"]
    assert attempt["finishedAt"] is attempt["outcome"] is attempt["error"] is None
    assert "nextAttemptAt" not in attempt


async def test_a_result_is_shown_as_it_is_stored(api: httpx.AsyncClient, stage: Stage) -> None:
    await stage.submit("t")
    await stage.succeed(await stage.run("t"), '{"big":123456789012345678901234567890}')

    assert '"result":{"big":123456789012345678901234567890}' in (await api.get("/tasks/t")).text


async def test_a_purged_task_says_when(api: httpx.AsyncClient, stage: Stage, clock: Clock) -> None:
    await stage.submit("t", payload='{"x":1}')
    await stage.succeed(await stage.run("t"), "1")
    await stage.ledger.purge(clock.advance(10), 10)

    task = await shown(api, "t")

    assert task.keys() == MEMBERS | {"purgedAt"}
    assert task["payload"] is task["result"] is None
    assert task["attempts"] == []
    assert task["state"] == "succeeded"


@pytest.mark.parametrize(
    "wait", ["-1", "31", "30.1", "x", "", "nan", "inf", "1e9", "0x1", "+1", "\u0663"]
)
async def test_a_wait_that_is_no_number_from_0_to_30_is_422(
    api: httpx.AsyncClient, wait: str
) -> None:
    assert parameters(await api.get("/tasks/t", params={"wait": wait})) == ["wait"]


async def test_an_unknown_or_repeated_parameter_is_422(api: httpx.AsyncClient) -> None:
    assert parameters(await api.get("/tasks/t?wiat=1")) == ["wiat"]
    assert parameters(await api.get("/tasks/t?wait=1&wait=1")) == ["wait"]
    assert parameters(await api.get("/tasks/t?include=payload")) == ["include"]
    assert parameters(await api.get("/tasks/t?wait=%ff")) == ["wait"]
    assert parameters(await api.get("/tasks/t?wait=%zz")) == ["wait"]


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD, State.CANCELLED])
async def test_a_wait_for_what_is_at_its_end_is_answered_at_once(
    api: httpx.AsyncClient, stage: Stage, state: State
) -> None:
    await stage.into(state, "t")

    async with asyncio.timeout(5):
        assert (await shown(api, "t", "?wait=30"))["state"] == state


async def test_a_wait_ends_without_the_task_having_ended(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("t")

    assert (await shown(api, "t", "?wait=0.05"))["state"] == "queued"
    assert (await shown(api, "t", "?wait=0"))["state"] == "queued"


async def test_a_wait_for_an_unknown_task_is_404_at_once(api: httpx.AsyncClient) -> None:
    async with asyncio.timeout(5):
        problem(await api.get("/tasks/nobody?wait=30"), 404)


async def watched(app: App, watchers: int) -> None:
    """Wait until so many calls wait for something to happen."""
    await until(lambda: app.watch.watchers == watchers)


async def test_a_wait_is_answered_when_the_task_comes_to_its_end(
    app: App, api: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.submit("t", "other")
    attempt = await stage.run("t")
    waits = [asyncio.create_task(shown(api, "t", "?wait=30")) for _ in range(5)]
    await watched(app, 5)
    started = asyncio.get_running_loop().time()

    await stage.succeed(attempt)

    assert {task["state"] for task in await asyncio.gather(*waits)} == {"succeeded"}
    assert asyncio.get_running_loop().time() - started < REREAD * 0.9  # it did not have to look
    assert app.watch.watchers == 0


class Deaf(MemoryLedger):
    """A ledger whose hints are all lost."""

    @asynccontextmanager
    async def transitions(self) -> AsyncIterator[AsyncIterator[list[Transition]]]:
        async with super().transitions():
            yield silence()


async def silence() -> AsyncIterator[list[Transition]]:
    await asyncio.Event().wait()
    yield []


class Unwatchable(MemoryLedger):
    """A ledger that cannot be watched at all."""

    down = True

    @asynccontextmanager
    async def transitions(self) -> AsyncIterator[AsyncIterator[list[Transition]]]:
        if self.down:
            raise LedgerUnavailable
        yield silence()


@pytest.mark.parametrize("kind", [Deaf, Unwatchable])
async def test_a_wait_is_answered_though_every_hint_is_lost(
    clock: Clock, kind: type[MemoryLedger]
) -> None:
    ledger = kind(clock)
    app = create_app(ledger, Settings(), clock)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        await api.post("/tasks", json={"taskId": "t", "payload": {}})
        waiting = asyncio.create_task(shown(api, "t", "?wait=30"))
        await watched(app, 1)
        await ledger.cancel("t", None, None)

        async with asyncio.timeout(5):
            assert (await waiting)["state"] == "cancelled"


async def test_a_wait_ends_when_its_client_leaves(served: Served) -> None:
    await served.client.post("/tasks", json={"taskId": "t", "payload": {}})
    async with served.connection() as connection:
        await connection.send(get("/tasks/t?wait=30"))
        await watched(served.app, 1)
    await watched(served.app, 0)


async def test_a_wait_is_answered_when_the_service_stops(served: Served) -> None:
    await served.client.post("/tasks", json={"taskId": "t", "payload": {}})
    async with served.connection() as connection:
        await connection.send(get("/tasks/t?wait=30"))
        await watched(served.app, 1)
        served.stop.set()
        answer = await connection.answer()

    assert answer.status == 200
    await asyncio.wait_for(served.running, 5)
