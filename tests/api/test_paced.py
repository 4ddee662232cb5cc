"""How fast a key may submit, and how much may be outstanding: what is refused is not stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from tests.api.checks import problem
from tests.api.conftest import serving
from tests.api.served import post
from tests.conformance.stage import Clock, Stage
from unlost.access.keys import Key, Secret, digest
from unlost.access.rates import Bucket, taken, wait
from unlost.api.app import create_app
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings
from unlost.task import SECOND

Calling = Callable[..., httpx.AsyncClient]


async def keyed(ledger: Any, name: str, rate: float | None) -> None:
    secrets = (Secret(digest(name)),)
    await ledger.add_key(Key(name, frozenset({"submit", "read"}), 0, secrets, rate=rate))


@pytest.fixture
async def calling(stage: Stage, clock: Clock) -> AsyncIterator[Calling]:
    """The API with some settings, as a key calls it; each call of it is a process of its own."""
    await keyed(stage.ledger, "slow", 2)
    await keyed(stage.ledger, "rare", 0.1)
    await keyed(stage.ledger, "free", None)
    async with AsyncExitStack() as stack:

        def made(key: str, **given: Any) -> httpx.AsyncClient:
            app = create_app(stage.ledger, Settings(auth="keys", **given), clock)
            headers = {"Authorization": f"Bearer {key}"}
            transport = httpx.ASGITransport(app)
            client = httpx.AsyncClient(
                transport=transport, base_url="http://unlost.test", headers=headers
            )
            stack.push_async_callback(client.aclose)
            return client

        yield made


def task(name: str) -> dict[str, object]:
    return {"taskId": name, "payload": {}}


async def statuses(client: httpx.AsyncClient, *names: str) -> list[int]:
    return [(await client.post("/tasks", json=task(name))).status_code for name in names]


def test_a_bucket_has_two_seconds_worth_and_fills_with_time() -> None:
    bucket, allowed = taken(None, 5, 12, 0)
    assert allowed == 10
    assert taken(bucket, 5, 1, 0)[1] == 0
    assert wait(bucket, 5) == pytest.approx(0.2)
    assert taken(bucket, 5, 9, SECOND)[1] == 5
    assert taken(bucket, 5, 99, 3_600 * SECOND)[1] == 10
    assert taken(bucket, 5, 1, -SECOND) == (Bucket(0, -SECOND), 0)  # a clock that went back
    assert taken(None, 0.1, 5, 0)[1] == 1


async def test_beyond_its_rate_a_key_is_refused_and_nothing_is_stored(
    stage: Stage, clock: Clock, calling: Calling
) -> None:
    slow = calling("slow")
    assert await statuses(slow, "a", "b", "a", "c") == [202, 202, 200, 202]  # replays count

    refused = await slow.post("/tasks", json=task("d"))

    told = problem(refused, 429)
    assert told["type"] == "urn:unlost:problem:over-rate"
    assert refused.headers["retry-after"] == "1"
    assert await stage.ledger.get("d") is None
    assert (await slow.get("/tasks/a")).status_code == 200  # what reads is no submit
    clock.advance(0.5)
    assert await statuses(slow, "d", "e") == [202, 429]


async def test_one_key_does_not_slow_another_nor_itself_in_another_process(
    calling: Calling,
) -> None:
    slow = calling("slow")
    await statuses(slow, *"abcde")
    assert await statuses(calling("slow"), "f") == [202]
    assert await statuses(calling("free"), *(f"g{number}" for number in range(50))) == [202] * 50


async def test_retry_after_tells_when_there_is_room(clock: Clock, calling: Calling) -> None:
    rare = calling("rare")
    assert await statuses(rare, "a") == [202]
    clock.advance(2.5)
    refused = await rare.post("/tasks", json=task("b"))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "8")
    clock.advance(8)
    assert await statuses(rare, "b") == [202]


async def test_a_batch_is_paced_item_by_item(stage: Stage, calling: Calling) -> None:
    items = [task(f"t{number}") for number in range(6)]
    reply = await calling("slow").post("/tasks/batch", json={"tasks": items})
    assert reply.headers["Retry-After"] == "1"
    answer = reply.json()
    assert [one["status"] for one in answer["results"]] == [202] * 4 + [429] * 2
    assert answer["results"][5]["detail"] == "this key submits too fast"
    assert (await stage.ledger.counts()).accepted == 4


async def test_a_head_that_came_before_is_paced_too() -> None:
    ledger = MemoryLedger(wall_clock)
    await keyed(ledger, "slow", 0.5)
    await keyed(ledger, "three", 1.5)
    async with serving(ledger, Settings(auth="keys")) as service, service.connection() as wire:
        found = []
        for number in range(5):
            body = json.dumps(task(f"t{number}")).encode()
            await wire.send(post("/tasks", body, "Authorization: Bearer three"))
            found.append((await wire.answer()).status)
    assert found[:3] == [202] * 3
    assert 429 in found[3:]
    assert (await ledger.counts()).accepted == found.count(202)


async def test_beyond_what_may_be_outstanding_new_tasks_are_refused_and_replays_are_not(
    stage: Stage, clock: Clock, calling: Calling
) -> None:
    free = calling("free", max_outstanding=3)
    assert await statuses(free, "a", "b", "c") == [202] * 3
    clock.advance(5)

    refused = await free.post("/tasks", json=task("d"))

    told = problem(refused, 429)
    assert told["type"] == "urn:unlost:problem:backlog-full"
    assert int(refused.headers["retry-after"]) > 0
    assert await stage.ledger.get("d") is None
    assert await statuses(free, "a") == [200]
    conflict = await free.post("/tasks", json={"taskId": "a", "payload": {"x": 1}})
    problem(conflict, 409)
    await stage.succeed(await stage.run("b"))
    clock.advance(5)
    assert await statuses(free, "d") == [202]


async def test_a_batch_fills_what_room_there_is_item_by_item(
    stage: Stage, clock: Clock, calling: Calling
) -> None:
    free = calling("free", max_outstanding=4)
    none_refused = await free.post("/tasks/batch", json={"tasks": [task("a"), task("b")]})
    assert "Retry-After" not in none_refused.headers
    clock.advance(5)

    names = ["a", "n1", "n2", "n1", "n3", "b", "n3"]
    reply = await free.post("/tasks/batch", json={"tasks": list(map(task, names))})
    assert reply.headers["Retry-After"] == "5"
    answer = reply.json()

    assert [one["status"] for one in answer["results"]] == [200, 202, 202, 200, 429, 200, 429]
    assert (await stage.ledger.counts()).accepted == 4


async def test_redrives_count_and_are_never_refused(
    stage: Stage, clock: Clock, calling: Calling
) -> None:
    free = calling("free", max_outstanding=1)
    assert await statuses(free, "a") == [202]
    await stage.die(await stage.run("a"))
    clock.advance(5)
    assert await statuses(free, "b") == [202]
    await stage.ledger.redrive("a", None, None)
    clock.advance(5)
    assert await statuses(free, "c", "b") == [429, 200]
    assert (await stage.record("a")).state == "queued"
