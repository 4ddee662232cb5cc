"""Every refusal is counted once, by the type of its problem, wherever it is made."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.api.conftest import Timeless, serving
from tests.api.served import Answer, Served, get, post
from tests.conformance.stage import Clock
from unlost.access.keys import Key, KeyScope, Secret, digest
from unlost.api.http.connection.patience import HEAD_WITHIN
from unlost.api.problems import Problem
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings

ALL, READER, SLOW = "Authorization: Bearer all", "Authorization: Bearer reader", "slow"
JSON = "Content-Type: application/json"
TASK = b'{"taskId": "t", "payload": {}}'
OTHER = b'{"taskId": "t", "payload": {"n": 1}}'
LONG = "x" * 40_000

CALLS = {
    "not-http": b"nonsense\r\n\r\n",
    "malformed": post("/tasks", b"{", ALL, JSON),
    "unauthorized": get("/stats"),
    "forbidden": post("/tasks", TASK, READER, JSON),
    "foreign-page": get("/stats", ALL, "Origin: http://elsewhere.example"),
    "not-found": get("/tasks/nobody", ALL),
    "method-not-allowed": get("/tasks", ALL, method="DELETE"),
    "conflict": post("/tasks", OTHER, ALL, JSON),
    "wrong-state": post("/dead-letters/t/redrive", b"", ALL),
    "too-large": post("/tasks", b'{"taskId": "t", "payload": {"t": "%s"}}' % (b"x" * 300_000), ALL),
    "line-too-long": get(f"/{LONG}", ALL),
    "media-type": post("/tasks", TASK, ALL, "Content-Type: text/html"),
    "invalid": post("/tasks", b'{"taskId": "t"}', ALL, JSON),
    "invalid-query": get("/tasks?limit=none", ALL),
    "head-too-large": get("/stats", ALL, f"X-Long: {LONG}"),
}
"""What is refused, by the type of the problem."""


@pytest.fixture(autouse=True)
def nothing_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is counted stay where tests look for it."""
    monkeypatch.setattr("unlost.telemetry.measuring.INTERVAL", 3600.0)


def refused(served: Served) -> dict[str, int]:
    """What was counted since the last look."""
    return served.app._recorder.take().refused


def kind(answer: Answer) -> str:
    said: str = json.loads(answer.body)["type"]
    return said.removeprefix("urn:unlost:problem:")


def key(name: str, *scopes: KeyScope, rate: float | None = None) -> Key:
    return Key(name, frozenset(scopes), 0, (Secret(digest(name)),), rate=rate)


@pytest.fixture
async def guarded(clock: Clock) -> AsyncIterator[Served]:
    """A service with keys and one task; its time stands still."""
    ledger = MemoryLedger(clock)
    await ledger.add_key(key("all", *KeyScope))
    await ledger.add_key(key("reader", KeyScope.READ))
    await ledger.add_key(key(SLOW, KeyScope.SUBMIT, rate=10))
    async with serving(ledger, Settings(auth="keys"), clock=clock) as served:
        assert (await served.say(post("/tasks", TASK, ALL, JSON))).status == 202
        assert refused(served) == {}
        yield served


async def test_each_call_that_is_refused_counts_once(guarded: Served) -> None:
    for reason, call in CALLS.items():
        answer = await guarded.say(call)
        assert kind(answer) == reason
        assert refused(guarded) == {reason: 1}, reason


async def test_a_head_that_is_too_slow_counts(guarded: Served) -> None:
    async with guarded.connection() as slow:
        await slow.send(b"GET /livez HTTP/1.1\r\nHos")
        await guarded.client.get("/livez")
        guarded.pass_seconds(HEAD_WITHIN)
        assert kind(await slow.answer()) == "too-slow"
    assert refused(guarded) == {"too-slow": 1}


async def test_a_connection_for_which_there_is_no_place_counts() -> None:
    async with (
        serving(MemoryLedger(wall_clock), Settings(auth="none"), Timeless(1)) as served,
        served.connection() as busy,
    ):
        await busy.send(get("/events"))
        await busy.head()
        assert kind(await served.say(get("/stats"))) == "unavailable"
        assert refused(served) == {"unavailable": 1}


async def test_a_wrong_name_counts(served: Served) -> None:
    call = get("/stats").replace(b"localhost", b"rebound.example")
    assert kind(await served.say(call)) == "wrong-host"
    assert refused(served) == {"wrong-host": 1}


async def test_of_a_batch_each_task_that_is_refused_counts(guarded: Served) -> None:
    tasks = [{"taskId": f"b{number}", "payload": {}} for number in range(25)]
    call = post("/tasks/batch", json.dumps({"tasks": tasks}).encode(), "Authorization: Bearer slow")
    assert json.loads((await guarded.say(call)).body)["accepted"] == 20
    assert refused(guarded) == {"over-rate": 5}
    mixed = b'{"taskId": "t", "payload": {"n": 1}}\n{"taskId": "x"}\n{\n'
    answer = await guarded.say(
        post("/tasks/batch", mixed, ALL, "Content-Type: application/x-ndjson")
    )
    assert json.loads(answer.body)["rejected"] == 3
    assert refused(guarded) == {"conflict": 1, "invalid": 1, "malformed": 1}


async def test_the_sum_over_all_processes_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlost.telemetry.measuring.INTERVAL", 0.01)
    ledger = MemoryLedger(wall_clock)
    for _ in range(2):
        async with serving(ledger) as served:
            await served.client.get("/nowhere")
    async with serving(ledger) as served:
        shown = (await served.client.get("/metrics")).text
    assert 'unlost_refused_total{reason="not-found"} 2\n' in shown


def kinds(problem: type[Problem]) -> Iterator[str]:
    yield problem.kind
    for under in problem.__subclasses__():
        yield from kinds(under)


def test_there_are_few_reasons_and_each_is_a_plain_word() -> None:
    found = Counter(kinds(Problem))
    assert len(found) < 40
    assert all(name.replace("-", "").isalpha() and name.islower() for name in found)


FLOODERS, EACH, OTHERS = 8, 25, 50


async def test_a_key_that_floods_is_refused_and_the_submits_of_another_pass(
    guarded: Served,
) -> None:
    """Its rate is 10 a second, of which there are two seconds' worth; no time passes here."""

    async def submit(caller: str, key: str, number: int) -> list[httpx.Response]:
        url, headers = guarded.client.base_url, {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10) as client:
            tasks = ({"taskId": f"{caller}-{turn}", "payload": {}} for turn in range(number))
            return [await client.post("/tasks", json=task) for task in tasks]

    others, *flood = await asyncio.gather(
        submit("other", "all", OTHERS),
        *(submit(f"flood{number}", SLOW, EACH) for number in range(FLOODERS)),
    )

    assert [one.status_code for one in others] == [202] * OTHERS
    answers = [one for by_one in flood for one in by_one]
    statuses = Counter(one.status_code for one in answers)
    assert statuses == {202: 20, 429: FLOODERS * EACH - 20}
    assert all(("Retry-After" in one.headers) == (one.status_code == 429) for one in answers)
    assert await guarded.accepted() == 1 + OTHERS + 20
    assert refused(guarded) == {"over-rate": statuses[429]}
