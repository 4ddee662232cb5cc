"""A single submit is answered by the thread that committed it, and what is then left to do."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.api.checks import until
from tests.api.conftest import serving
from tests.api.served import Served, get, post
from tests.api.test_again import alike, knowing, task
from unlost.api.calls.submitting import promptly
from unlost.api.http import again, heads
from unlost.api.http.connection.connections import Connections
from unlost.ledger.opening import open_ledger
from unlost.ledger.values import Submitted, Verdict


@pytest.fixture
async def prompt(tmp_path: Path) -> AsyncIterator[Served]:
    """A service on a ledger that answers from its own thread."""
    ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    async with serving(ledger) as one:
        yield one
    await ledger.close()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each answer was sent by another thread than the event loop's."""
    sent: list[bool] = []
    at_once = again.KnowingConnection.answer_at_once

    def watched(self: again.KnowingConnection, *given: Any) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        sent.append(at_once(self, *given))
        return sent[-1]

    monkeypatch.setattr(again.KnowingConnection, "answer_at_once", watched)
    return sent


async def test_one_alone_is_answered_by_the_thread_that_committed_it(
    prompt: Served, elsewhere: list[bool]
) -> None:
    async with prompt.connection() as connection:
        answers = []
        for name in ("a0", "a1", "a2", "a3"):
            await connection.send(post("/tasks", task(name)))
            answers.append(await connection.answer())
        await connection.send(get("/livez"))
        assert (await connection.answer()).status == 200
    assert elsewhere == [True] * 3
    assert alike(answers[0]) == alike(answers[1]) == alike(answers[2]) == alike(answers[3])
    await until(lambda: len(prompt.connections.answered_elsewhere) == 3)
    prompt.connections.tick()
    assert prompt.app._recorder.take().calls["submitTask"].statuses == {202: 4}
    assert not prompt.connections.answered_elsewhere


async def test_a_replay_and_a_conflict_are_told_as_ever_by_such_a_ledger(
    prompt: Served, elsewhere: list[bool]
) -> None:
    async with knowing(prompt, task("a0", '{"n":1}')) as connection:
        for payload in ('{"n":1}', '{"n":2}'):
            await connection.send(post("/tasks", task("a0", payload)))
        statuses = [(await connection.answer()).status for _ in range(2)]
    assert statuses == [200, 409]
    assert elsewhere == []


async def test_what_comes_ahead_is_answered_in_turn_by_such_a_ledger(prompt: Served) -> None:
    names = [f"a{number}" for number in range(9)]
    async with knowing(prompt) as connection:
        for name in names[1:]:
            await connection.send(post("/tasks", task(name)))
        answers = [await connection.answer() for _ in names[1:]]
    assert [json.loads(answer.body)["taskId"] for answer in answers] == names[1:]


async def test_the_room_of_what_was_answered_elsewhere_is_given_back(prompt: Served) -> None:
    room = prompt.connections.room
    async with knowing(prompt) as connection:
        for name in ("a1", "a2"):
            await connection.send(post("/tasks", task(name)))
            await connection.answer()
        await until(lambda: len(prompt.connections.answered_elsewhere) == 2)
        assert room.taken > 0
        prompt.connections.tick()
        assert room.taken == 0


async def test_a_stop_ends_a_connection_that_was_answered_elsewhere(prompt: Served) -> None:
    async with knowing(prompt) as connection:
        await connection.send(post("/tasks", task("a1")))
        await connection.answer()
        prompt.stop.set()
        assert await connection.ended()
    await asyncio.wait_for(prompt.running, 5)


class Begun(NamedTuple):
    """A connection whose request is under way, and its client's socket."""

    connection: again.KnowingConnection
    quick: Any
    client: socket.socket


@asynccontextmanager
async def begun(connections: Connections, size: int | None = None) -> AsyncIterator[Begun]:
    """Such a connection; `size` bounds the bytes that the system takes before they are read."""
    near, far = socket.socketpair()
    with far:
        if size is not None:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        far.setblocking(False)
        config = uvicorn.Config(heads.Again, interface="asgi3", log_config=None, lifespan="off")
        config.load()
        given: dict[str, Any] = {"config": config, "server_state": ServerState(), "app_state": {}}
        connection = again.KnowingConnection({}, connections, **given)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: connection, near)
        known = heads.Known(connection._peer, 2, lambda _body, _client: True)
        assert connection._begin(known, b"POST / HTTP/1.1\r\n\r\n{}", 19)
        yield Begun(connection, connection._quick, far)
        connection.transport.abort()
        await until(lambda: connection.parser is None)


ANSWER = heads.Whole(202, b"", b"{}")


@pytest.mark.parametrize("end", ["lost", "ended", "stops"])
async def test_no_other_thread_sends_once_the_connection_is_lost_or_the_server_ends(
    end: str,
) -> None:
    """The descriptor may be another's by then, or the answer is to say that the connection ends."""
    connections = Connections()
    async with begun(connections) as (connection, quick, _):
        if end == "lost":
            connection.transport.abort()
            await until(lambda: connection.parser is None)
            assert quick.socket is None
        elif end == "ended":
            connections.close()
        else:
            connection.shutdown()
        assert not connection.answer_at_once(quick, ANSWER, lambda: None)
        assert quick.sent == 0


async def test_what_another_thread_could_not_send_is_sent_by_the_event_loop() -> None:
    answer, read = heads.Whole(202, b"", bytes(500_000)), b""
    async with begun(Connections(), 4_096) as (connection, quick, client):
        assert not connection.answer_at_once(quick, answer, lambda: None)
        assert 0 < quick.sent < len(quick.whole)
        quick.done(answer)
        while len(read) < len(quick.whole):
            loop = asyncio.get_running_loop()
            read += await asyncio.wait_for(loop.sock_recv(client, 1 << 16), 5)
        assert read == quick.whole


async def test_what_comes_before_the_event_loop_hears_of_an_answer_is_begun_at_once() -> None:
    async with begun(Connections()) as (connection, quick, _):
        assert connection.answer_at_once(quick, ANSWER, lambda: quick.done(ANSWER))
        connection.data_received(b"POST ")
        assert connection._quick is None
        assert quick.response_complete
        assert not connection._later


async def test_for_what_came_before_an_answer_the_event_loop_is_woken() -> None:
    async with begun(Connections()) as (connection, quick, _):
        connection.data_received(b"GET ")
        assert not connection.answer_at_once(quick, ANSWER, lambda: None)
        assert quick.sent == len(quick.whole)
        quick.done(ANSWER)
        assert connection._quick is None


async def test_how_long_a_submit_took_is_told_as_it_was_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not as the event loop heard of it, which may be a tick later."""
    heard: list[tuple[object, float]] = []
    now = [1.0]
    monkeypatch.setattr(promptly, "perf_counter", lambda: now[0])

    class Waits:
        def answer_at_once(self, _answer: heads.Whole, then: Callable[[], None]) -> bool:
            self.then = then
            return True

        def done(self, outcome: object) -> None:
            heard.append((outcome, 0.0))

    client = Waits()
    one = promptly.Promptly(client, lambda _: ANSWER, lambda *told: heard.append(told))
    assert one.at_once([Submitted(Verdict.ACCEPTED)])
    now[0] = 2.0
    client.then()
    assert heard == [(ANSWER, 1.0), (ANSWER, 0.0)]
