"""Clients that ask for large lists and do not read them, on a real server."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack

import pytest

from tests.api.served import Connection, Served, get
from unlost.api.answers import large
from unlost.task import Submission

LIST = "/tasks?limit=1000&include=payload"


async def filled(served: Served, tasks: int = 40) -> None:
    payload = json.dumps({"text": "x" * 250_000})
    await served.ledger.submit(
        [Submission(f"t{number}", payload, b"digest") for number in range(tasks)]
    )


async def received(connection: Connection) -> int:
    """Bytes of the answer's body that came until the connection ended."""
    _, headers = await connection.head()
    body = b""
    try:
        while some := await asyncio.wait_for(connection.reader.read(2**20), 10):
            body += some
    except ConnectionResetError:
        pass
    assert len(body) < int(headers["content-length"])
    return len(body)


async def test_who_does_not_read_is_sent_away_and_others_get_their_lists(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(large, "READ_WITHIN", 2.0)
    await filled(served)
    async with AsyncExitStack() as opened:
        slow = [await opened.enter_async_context(served.connection(room=4096)) for _ in range(4)]
        for connection in slow:
            connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await connection.send(get(LIST))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        page = await served.client.get(LIST)
        assert page.status_code == 200
        assert 30 < len(page.json()["tasks"]) < 40
        assert time.monotonic() - began < 20
        for connection in slow:
            connection.reader._transport.resume_reading()  # type: ignore[attr-defined]
            assert await received(connection) < 8_000_000
    assert caplog.records == []


async def test_other_calls_do_not_wait_for_large_lists(served: Served) -> None:
    await filled(served)
    async with AsyncExitStack() as opened:
        for _ in range(6):
            connection = await opened.enter_async_context(served.connection(room=4096))
            connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await connection.send(get(LIST))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        for path in ("/tasks?limit=1000", "/tasks/t7", "/livez", "/readyz", "/stats"):
            assert (await served.client.get(path)).status_code == 200
        assert time.monotonic() - began < 5  # and not until those have read
