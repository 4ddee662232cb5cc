"""Timeouts beyond what a home's own workers can give: who may ask for them, and what that costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.attempts import claim, settle
from tests.api.checks import pointers
from tests.conformance.stage import Clock, submission
from unlost.api.app import create_app
from unlost.api.calls.submitting.timeouts import KNOWN_FOR, Timeouts
from unlost.api.frame import Frame
from unlost.ledger.memory import MemoryLedger
from unlost.limits.control import Change, Control
from unlost.settings import Settings
from unlost.task import MAX_TIMEOUT, Submission


class Asked(MemoryLedger):
    """A ledger that counts how often it is asked what is set for types."""

    asked = 0

    async def controls(self) -> list[Control]:
        self.asked += 1
        return await super().controls()


@pytest.fixture
def ledger(clock: Clock) -> Asked:
    return Asked(clock)


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def timeouts(ledger: Asked, now: list[float]) -> Timeouts:
    return Timeouts(ledger, 60.0, lambda: now[0])


def new(task_id: str, timeout: float | None = None, type: str = "mail") -> Submission:
    return submission(task_id, timeout=timeout, type=type)


async def test_what_is_short_enough_costs_no_look(ledger: Asked, timeouts: Timeouts) -> None:
    assert await timeouts.refused([new("a"), new("b", 60.0)]) == frozenset()
    assert await timeouts.allow("mail", 60.0)
    assert ledger.asked == 0


async def test_a_mark_is_seen_at_once_and_its_end_in_seconds(
    ledger: Asked, timeouts: Timeouts, now: list[float]
) -> None:
    tasks = [new("a", 61.0), new("b"), new("c", 61.0, "other")]
    assert await timeouts.refused(tasks) == {0, 2}
    await ledger.change("mail", Change(pull=True))
    assert await timeouts.refused(tasks) == {2}
    before = ledger.asked
    for _ in range(50):
        assert await timeouts.refused(tasks[:2]) == frozenset()
    assert ledger.asked == before
    await ledger.change("mail", Change(pull=False))
    now[0] += KNOWN_FOR
    assert await timeouts.refused(tasks) == {0, 2}
    assert not await timeouts.allow("mail", 61.0)


async def test_what_is_there_already_is_not_refused(ledger: Asked, timeouts: Timeouts) -> None:
    await ledger.submit([new("a", 61.0)])
    assert await timeouts.refused([new("a", 61.0), new("b", 61.0)]) == {1}


Framed = tuple[httpx.AsyncClient, Asked]


@pytest.fixture
async def framed(clock: Clock, ledger: Asked) -> AsyncIterator[Framed]:
    app = create_app(ledger, Settings(), clock, frame=Frame(longest_timeout=60.0))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client, ledger


def task(task_id: str, type: str, seconds: float = MAX_TIMEOUT) -> dict[str, Any]:
    return {"taskId": task_id, "payload": {}, "type": type, "timeoutSeconds": seconds}


async def test_a_type_that_is_marked_may_have_twelve_hours_however_it_is_submitted(
    framed: Framed,
) -> None:
    client, ledger = framed
    await ledger.change("long", Change(pull=True))

    assert (await client.post("/tasks", json=task("a", "long"))).status_code == 202
    assert (await client.post("/tasks", json=task("a", "long"))).status_code == 200
    assert pointers(await client.post("/tasks", json=task("b", "mail"))) == ["#/timeoutSeconds"]
    too_long = await client.post("/tasks", json=task("b", "long", MAX_TIMEOUT + 1))
    assert pointers(too_long) == ["#/timeoutSeconds"]
    batch = [task("c", "long"), task("d", "mail"), task("e", "mail", 60)]
    results = (await client.post("/tasks/batch", json={"tasks": batch})).json()["results"]
    assert [one["status"] for one in results] == [202, 422, 202]
    assert "at most 60" in results[1]["detail"]


async def test_a_schedule_may_ask_for_it_and_be_set_again_once_the_mark_is_off(
    framed: Framed,
) -> None:
    client, ledger = framed
    body = {"every": 60, "type": "long", "payload": {}, "timeoutSeconds": MAX_TIMEOUT}
    refused = await client.put("/schedules/s", json=body)
    assert pointers(refused) == ["#/timeoutSeconds"]
    await ledger.change("long", Change(pull=True))
    assert (await client.put("/schedules/s", json=body)).status_code == 201
    await ledger.change("long", Change(pull=False))
    assert (await client.put("/schedules/s", json=body | {"every": 30})).status_code == 200


async def test_a_task_that_follows_may_ask_for_it(framed: Framed, clock: Clock) -> None:
    client, ledger = framed
    await ledger.change("long", Change(pull=True))
    await ledger.submit([submission("t"), submission("u")])
    (first, second) = await claim(client)
    items = [
        {"token": one["token"], "outcome": "succeeded", "submit": [task(f"{n}", of)]}
        for n, (one, of) in enumerate([(first, "long"), (second, "mail")])
    ]
    good, wrong = await settle(client, *items)
    assert (good["status"], wrong["status"]) == (200, 422)
    assert "at most 60" in wrong["detail"]
    found = await ledger.get("0")
    assert found is not None
    assert found.timeout == MAX_TIMEOUT
