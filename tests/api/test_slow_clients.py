"""Clients that send or read slowly, on a real server; the seconds are the test's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from tests.api.checks import until
from tests.api.conftest import serving
from tests.api.served import TASK, Served, get, post, read_by, refusal, unread
from unlost.api.http.connection.patience import HEAD_WITHIN, OVER, READ_WITHIN
from unlost.api.server import NOT_ON_ITS_WAY, SENT_AHEAD
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock


async def test_a_head_that_is_not_there_in_time_is_408(served: Served) -> None:
    async with served.connection() as slow, served.connection() as silent:
        await slow.send(b"GET /livez HTTP/1.1\r\nHos")
        await read_by(served, slow)
        served.pass_seconds(HEAD_WITHIN - 1)
        await slow.send(b"t: x\r\n")
        await read_by(served, slow)
        served.pass_seconds(1)
        assert "headers" in refusal(await slow.answer(), 408)
        assert await slow.ended()
        await silent.send(get("/livez"))
        assert (await silent.answer()).status == 200


async def test_the_next_head_on_a_connection_has_as_long(served: Served) -> None:
    async with served.connection() as connection:
        for _ in range(3):
            await connection.send(get("/livez")[:-2])
            await read_by(served, connection)
            served.pass_seconds(HEAD_WITHIN - 1)
            await connection.send(b"\r\n")
            assert (await connection.answer()).status == 200
            served.pass_seconds(3 * HEAD_WITHIN)


async def test_a_body_that_drips_is_408_and_stores_nothing(served: Served) -> None:
    async with served.connection() as connection:
        await connection.send(post("/tasks", TASK)[:-1])
        await read_by(served, connection)
        served.pass_seconds(OVER - 1)
        await served.client.get("/livez")
        served.pass_seconds(1)
        assert "1024 bytes a second" in refusal(await connection.answer(), 408)
        assert await connection.ended()
    assert await served.accepted() == 0


async def test_a_slow_call_of_the_service_is_not_the_clients(served: Served) -> None:
    await served.client.post("/tasks", content=TASK)
    async with served.connection() as connection:
        await connection.send(get("/tasks/t?wait=1"))
        await read_by(served, connection)
        served.pass_seconds(3 * OVER)
        assert (await connection.answer()).status == 200


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_call_whose_client_was_cut_off_is_no_failure_though_others_were_sent_behind_it(
    new_loop: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    async def cut_off() -> int:
        async with (
            serving(MemoryLedger(wall_clock)) as served,
            served.connection(room=4096) as connection,
        ):
            connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await connection.send(get("/openapi.json") * 400)
            await read_by(served, connection)
            await asyncio.sleep(0.2)
            served.pass_seconds(READ_WITHIN + 1)
            await until(lambda: len(served.connections._all) < 2)
            return sum(served.app._recorder.take().calls["openapi"].statuses.values())

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(cut_off()) < 100
    assert caplog.records == []


async def test_the_system_takes_little_of_what_nobody_reads(served: Served) -> None:
    async with served.connection() as connection:
        await connection.send(get("/livez"))
        await connection.answer()
        [one] = served.connections._all
        wire = one.transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SENT_AHEAD
        lowest = wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        assert lowest == NOT_ON_ITS_WAY


@pytest.mark.parametrize("path", ["/events", "/openapi.json"])
async def test_who_does_not_read_is_cut_off(served: Served, path: str) -> None:
    async with served.connection(room=4096) as connection:
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(400 if path == "/openapi.json" else 1):
            connection.writer.write(get(path))
        names = [f"{number}-{'x' * 200}" for number in range(20_000)]
        for start in range(0, len(names) if path == "/events" else 0, 1_000):
            tasks = [{"taskId": name, "payload": {}} for name in names[start : start + 1_000]]
            await served.client.post("/tasks/batch", json={"tasks": tasks})
        await until(lambda: unread(served) > 0)
        await asyncio.sleep(0.1)
        served.pass_seconds(READ_WITHIN + 1)
        await until(lambda: unread(served) == 0)
        await until(lambda: served.connections.count <= 1)
