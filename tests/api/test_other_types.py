"""A key that is bounded to types is told nothing of other types, whichever call it makes.

All that is of another type has a mark in its names and its texts.  Every operation that there is
gets called about what is there; a new one fails until this file knows what to ask it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from msgspec.structs import replace

from tests.conformance.stage import BOOM, Clock, Stage
from tests.conftest import LEDGERS, staged
from unlost.access.keys import Key, Secret, digest
from unlost.api.app import App, create_app
from unlost.api.openapi.operation import Operation
from unlost.api.openapi.operations import status
from unlost.api.request.query import Parameter
from unlost.ledger.values import NewStep
from unlost.settings import Settings

MARK = "marked"
OTHER, MINE = f"{MARK}.type", "mail"
SCOPES = frozenset(("submit", "read", "operate", "metrics", "work"))
NEXT = re.compile('"nextCursor":"([^"]+)"')

WHOLE = {status.STATS.name, status.METRICS.name}
"""What is the whole service's, whoever asks."""

ENDLESS = {status.EVENTS.name}
"""`test_key_lists` follows these."""

LAST = ("deleteSchedule", "discardDeadLetter")
"""What takes away what others look for."""

REFUSED = {"discardDeadLetter", "recordStep"}
"""What has nothing left of its own type to be about."""

IN_PATHS = {
    "taskId": [
        f"{MARK}-dead",
        f"{MARK}-waits",
        f"{MARK}-runs",
        f"{MARK}-done",
        "mail-dead",
        "mail-waits",
    ],
    "type": [OTHER, MINE],
    "scheduleId": [f"{MARK}-schedule", "mail-schedule"],
    "redriveId": [f"{MARK}-redrive", "every-redrive", "mail-redrive"],
    "worker": [f"{MARK}-worker", "both", "new"],
    "folder": ["pages"],
    "file": ["app.js", "workers.js"],
}

ASKED: dict[str, list[str]] = {
    "type": [OTHER, MINE],
    "idPrefix": [MARK],
    "parent": [f"{MARK}-done"],
    "error": [BOOM.fingerprint, BOOM.type],
    "id": [f"{MARK}-call"],
    "by": ["ann"],
    "reason": ["why"],
    "limit": ["1", "2"],
    "wait": ["0"],
    "since": ["2001-01-01T00:00:00Z"],
    "until": ["2099-01-01T00:00:00Z"],
    "cron": ["* * * * *"],
    "every": ["60"],
    "timezone": ["UTC"],
    "dryRun": ["true"],
    "cursor": [],
}


def bodies(token: str) -> dict[str, list[Any]]:
    """What each operation is sent; `token` is of an attempt of the other type."""
    dead, fingerprint = f"{MARK}-dead", {"fingerprint": BOOM.fingerprint}
    schedule = {"every": 60, "payload": {}}
    taken = {"taskId": dead, "type": MINE, "payload": {}}
    mine = {"taskId": "mine", "type": MINE, "payload": {}}
    others = {"taskId": "new", "type": OTHER, "payload": {}}
    claim = {"worker": "new", "limit": 100}
    return {
        "submitTask": [taken, others, mine],
        "submitBatch": [{"tasks": [taken, others, mine]}],
        "cancelTask": [None, {"by": "ann"}],
        "redriveDeadLetter": [{"payload": {}}, {"id": f"{MARK}-call"}, None],
        "discardDeadLetter": [None, {"id": f"{MARK}-call"}],
        "redriveDeadLetters": [{"taskIds": [dead]}, {"type": OTHER}, fingerprint, {"all": True}],
        "beginRedrive": [
            {"id": f"{MARK}-redrive", "type": MINE}, {"taskIds": [dead], "payload": {}},
            {"id": "every-redrive", "all": True}, {"type": OTHER}, fingerprint,
        ],
        "stopRedrive": [None],
        "setSchedule": [schedule | {"type": MINE}, schedule | {"type": OTHER}],
        "runSchedule": [{"taskId": dead}, None],
        "pauseSchedule": [None],
        "resumeSchedule": [None],
        "pauseType": [None],
        "resumeType": [None],
        "changeType": [{"limit": 8}],
        "claimAttempts": [
            claim | {"claim": "a" * 16, "types": [OTHER]},
            claim | {"claim": "b" * 16, "types": [MINE]},
            claim | {"claim": "c" * 16, "types": [MINE], "worker": f"{MARK}-worker"},
        ],
        "extendWorker": [{"leaseSeconds": 60, "tokens": [token]}],
        "recordStep": [{"token": token, "name": "again", "result": 1}],
        "settleAttempts": [{"attempts": [{"token": token, "outcome": "succeeded"}]}],
    }  # fmt: skip


@pytest.fixture(params=LEDGERS)
async def stage(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[Stage]:
    """Every ledger: each leaves out of its lists what is of another type."""
    async with staged(request, tmp_path, clock) as stage:
        yield stage


@pytest.fixture
async def app(stage: Stage, clock: Clock) -> App:
    for name, types in (("every", None), ("bound", (MINE,))):
        await stage.ledger.add_key(Key(name, SCOPES, 0, (Secret(digest(name)),), types))
    return create_app(stage.ledger, Settings(auth="keys"), clock)


def calling(app: App, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://unlost.test",
        headers={"Authorization": f"Bearer {key}"},
    )


@pytest.fixture
async def every(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app, "every") as client:
        yield client


@pytest.fixture
async def bound(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app, "bound") as client:
        yield client


async def done(call: Any) -> Any:
    answer = await call
    assert answer.is_success, answer.text
    return answer.json()


async def dies(stage: Stage, name: str) -> None:
    attempt = await stage.run(f"{name}-dead")
    await stage.ledger.record_step(NewStep(attempt.task_id, attempt.token, name, f'"{name}"'))
    await stage.die(attempt, replace(BOOM, message=f"it broke: {name}"))


async def furnished(stage: Stage, every: httpx.AsyncClient) -> str:
    """Have something of all that there may be, of either type; a token of the other type."""
    both = ((MINE, MINE), (MARK, OTHER))

    async def submit(name: str, kind: str, what: str) -> None:
        task = {"payload": {name: name}, "key": name, "type": kind, "taskId": f"{name}-{what}"}
        await done(every.post("/tasks", json=task))

    for name, kind in both:
        await submit(name, kind, "dead")
        await dies(stage, name)
        await submit(name, kind, "done")
        await stage.succeed(await stage.run(f"{name}-done"), f'"{name}"')
    redrive = {"id": "every-redrive", "all": True, "canary": 0}
    await done(every.post("/redrives", json=redrive))
    for name, kind in both:
        await dies(stage, name)
        redrive = {"id": f"{name}-redrive", "type": kind, "canary": 0, "by": name, "reason": name}
        await done(every.post("/redrives", json=redrive))
        await dies(stage, name)
        schedule = {"every": 60, "type": kind, "payload": {name: name}, "key": name}
        await done(every.put(f"/schedules/{name}-schedule", json=schedule))
        await done(every.post(f"/schedules/{name}-schedule/run"))
        await submit(name, kind, "runs")
    claim = {"worker": f"{MARK}-worker", "claim": "x" * 16, "types": [OTHER], "limit": 10}
    held = (await done(every.post("/attempts/claim", json=claim)))["attempts"]
    claim = {"worker": "both", "claim": "y" * 16, "types": [OTHER, MINE], "limit": 10}
    assert (await done(every.post("/attempts/claim", json=claim)))["attempts"]
    for name, kind in both:
        await submit(name, kind, "waits")
        await done(every.patch(f"/types/{kind}", json={"limit": 9}))
    await done(every.post(f"/types/{OTHER}/pause", json={"by": MARK, "reason": MARK}))
    token: str = held[0]["token"]
    return token


def queries(parameters: Sequence[Parameter]) -> Iterator[dict[str, str]]:
    """No query, and each parameter by itself."""
    yield {}
    for parameter in parameters:
        if (of := parameter.schema.get("items")) is not None:
            yield {parameter.name: ",".join(of["enum"])}
        elif "enum" in parameter.schema:
            yield from ({parameter.name: value} for value in parameter.schema["enum"])
        else:
            yield from ({parameter.name: value} for value in ASKED[parameter.name])


def paths(operation: Operation) -> Iterator[str]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    for chosen in product(*(IN_PATHS[name] for name in names)):
        path = operation.path
        for name, value in zip(names, chosen, strict=True):
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        yield path


def calls(operation: Operation, sent: dict[str, list[Any]]) -> Iterator[tuple[str, Any, Any]]:
    """The paths, queries and bodies with which an operation is called."""
    assert operation.body is None or operation.name in sent
    yield from product(paths(operation), queries(operation.query), sent.get(operation.name, [None]))


def clean(answer: httpx.Response, *brought: Any) -> None:
    """Nothing marked may be told but what the call itself has brought."""
    told = answer.text + str(answer.headers)
    for name in (MARK, OTHER, *(f"{MARK}-{what}" for what in ("dead", "call", "redrive"))):
        if name in repr(brought):
            told = told.replace(f'"{name}"', "")
    assert MARK not in told, (answer.request.method, answer.request.url, brought, told)


async def asked(
    bound: httpx.AsyncClient, operation: Operation, sent: dict[str, list[Any]]
) -> set[int]:
    """Call an operation in all ways, and read its lists to their ends; the statuses."""
    statuses = set()
    for path, query, body in calls(operation, sent):
        cursor: dict[str, str] | None = {}
        while cursor is not None:
            asks = query | cursor
            answer = await bound.request(operation.method, path, params=asks, json=body)
            assert answer.status_code < 500, answer.text
            clean(answer, path, query, body)
            statuses.add(answer.status_code)
            found = NEXT.search(answer.text)
            cursor = None if found is None else {"cursor": found[1]}
    return statuses


async def others(every: httpx.AsyncClient) -> list[Any]:
    """All that is of the other type."""
    types = (await done(every.get("/types")))["types"]
    parts = {"type": OTHER, "include": "payload,result,attempts,traceback"}
    return [
        await done(every.get("/tasks", params=parts)),
        await done(every.get(f"/schedules/{MARK}-schedule", params={"include": "ticks"})),
        await done(every.get(f"/redrives/{MARK}-redrive")),
        [one for one in types if one["type"] == OTHER],
    ]


async def test_no_call_tells_of_another_type_nor_changes_anything_of_it(
    stage: Stage, app: App, every: httpx.AsyncClient, bound: httpx.AsyncClient
) -> None:
    token = await furnished(stage, every)
    before = await others(every)
    assert MARK in str(before)
    operations = [route.operation for route in app.routes]
    operations.sort(key=lambda operation: operation.name in LAST)
    answered = {
        operation.name: await asked(bound, operation, bodies(token))
        for operation in operations
        if operation.name not in WHOLE | ENDLESS
    }
    assert await others(every) == before
    assert {name for name, statuses in answered.items() if min(statuses) >= 400} <= REFUSED
