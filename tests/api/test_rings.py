"""No call leaves what only the collector finds: it looks after thousands of calls, and a body may
have megabytes."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.api.conftest import serving
from tests.api.served import Served
from unlost.api.problems import Unavailable, let_go
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite import SqliteLedger
from unlost.settings import Settings
from unlost.task import SECOND

TIMES = 5

numbers = count()


@asynccontextmanager
async def service(folder: Path, **settings: Any) -> AsyncIterator[Served]:
    ledger = SqliteLedger(folder / "ledger.db", wall_clock)
    now = count(wall_clock(), 10 * SECOND)  # nothing that is known is still fresh
    async with serving(ledger, Settings(**settings), clock=lambda: next(now)) as running:
        yield running
    await ledger.close()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nobody else looks for rings."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def call(method: str, path: str, body: object = None) -> bytes:
    """A request; a task's id `NEW` is another each time."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    text = text.replace(b"NEW", b"task-%06d" % next(numbers))
    if body is None:
        return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    ).encode() + text


def exchange(port: int, request: bytes) -> bytes:
    """What a client gets that goes once it has read something, or after a moment; in a thread, and
    without anything that makes rings itself."""
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.settimeout(0.3 if b"/events" in request or b"wait=" in request else 10)
        wire.sendall(request)
        try:
            return wire.recv(65_536)
        except TimeoutError:
            return b""


TASK = {"taskId": "first", "payload": {"a": 1}}

CALLS = {
    "accepted": ("POST", "/tasks", {"taskId": "NEW", "payload": {}}, 202),
    "replayed": ("POST", "/tasks", TASK, 200),
    "conflict": ("POST", "/tasks", {**TASK, "payload": {"a": 2}}, 409),
    "invalid": ("POST", "/tasks", {**TASK, "none": 1}, 422),
    "malformed": ("POST", "/tasks", b"{", 400),
    "batch": ("POST", "/tasks/batch", {"tasks": [TASK, {**TASK, "payload": 3}, {"none": 1}]}, 200),
    "malformed batch": ("POST", "/tasks/batch", b'{"tasks": [{', 400),
    "shown": ("GET", "/tasks/first", None, 200),
    "unknown": ("GET", "/tasks/unknown", None, 404),
    "nowhere": ("GET", "/nowhere", None, 404),
    "not allowed": ("DELETE", "/tasks/first", None, 405),
    "waited for": ("GET", "/tasks/first?wait=0.05", None, 200),
    "left while it waits": ("GET", "/tasks/first?wait=20", None, None),
    "events": ("GET", "/events", None, 200),
    "list": ("GET", "/tasks?limit=50", None, 200),
    "bad cursor": ("GET", "/tasks?cursor=x", None, 422),
    "not a dead letter": ("POST", "/dead-letters/first/redrive", {"id": "NEW-NEW"}, 409),
    "metrics": ("GET", "/metrics", None, 200),
    "unknown attempt": ("POST", "/attempts/steps", {"token": "x", "name": "a", "result": 1}, 404),
    "unknown worker": ("POST", "/workers/w/extend", {"leaseSeconds": 30, "tokens": []}, 409),
}  # fmt: skip


async def rings_of(served: Served, method: str, path: str, body: object) -> tuple[bytes, int]:
    """The last answer, and how many objects a call leaves in rings."""

    async def make(times: int) -> bytes:
        answer = b""
        for _ in range(times):
            request = call(method, path, body)
            answer = await asyncio.to_thread(exchange, served.port, request)
        while served.connections.count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        served.connections.tick()
        return answer

    await make(2)
    gc.collect()
    answer = await make(TIMES)
    return answer, gc.collect() // TIMES


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_no_rings(tmp_path: Path, name: str) -> None:
    method, path, body, status = CALLS[name]

    async def look() -> tuple[bytes, int]:
        async with service(tmp_path) as served:
            await asyncio.to_thread(exchange, served.port, call("POST", "/tasks", TASK))
            return await rings_of(served, method, path, body)

    answer, left = uvloop.run(look())
    assert status is None or answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert left == 0


@pytest.mark.usefixtures("uncollected")
def test_a_refusal_that_comes_again_keeps_nothing_of_those_before(tmp_path: Path) -> None:
    """Where the backlog is full, by a head that is new and by one that is known."""

    async def look() -> list[tuple[bytes, int, int]]:
        found = []
        async with service(tmp_path, max_outstanding=2) as served:
            for large in ("x", "y", "z"):
                body = {"taskId": "NEW", "payload": {"text": large * 10_000}}
                answer, left = await rings_of(served, "POST", "/tasks", body)
                found.append((answer, left, tracemalloc.get_traced_memory()[0]))
        return found

    tracemalloc.start()
    try:
        _, before, after = uvloop.run(look())
    finally:
        tracemalloc.stop()
    for answer, left, _ in (before, after):
        assert answer.startswith(b"HTTP/1.1 429 "), answer
        assert left == 0
    assert after[-1] - before[-1] < 10_000


def test_an_error_that_stands_behind_itself_is_let_go() -> None:
    """As one that several wait for, which is raised again while what came of it is handled."""
    shared, found = LedgerUnavailable(), []
    try:
        try:
            try:
                raise shared
            except LedgerUnavailable as error:
                raise Unavailable("try again") from error
        except Unavailable as error:
            found.append(error)
            raise shared from None
    except LedgerUnavailable:
        let_go(shared)
    assert (shared.__context__, found[0].__cause__) == (found[0], shared)
    assert (shared.__traceback__, found[0].__traceback__) == (None, None)
