"""Bounds of connections on a real server; the seconds are the test's."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import pytest
import uvloop

from tests.api.checks import until
from tests.api.conftest import Timeless, serving
from tests.api.served import Answer, Connection, Served, get, post
from unlost.api.http import ending
from unlost.api.http.connections import (
    AHEAD_AT_ONCE,
    AT_ONCE,
    BEYOND,
    BODY_WITHIN,
    FRESH,
    LOOKED_AT,
    Connections,
    Member,
)
from unlost.api.http.ending import NOT_READING
from unlost.api.http.patience import HEAD_WITHIN, OVER, READ_WITHIN, ROOM_WITHIN
from unlost.api.http.room import Room
from unlost.api.server import NOT_ON_ITS_WAY, SENT_AHEAD
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings
from unlost.task import Submission

TASK = json.dumps({"taskId": "t", "payload": {}}).encode()


def refusal(answer: Answer, status: int) -> str:
    """What a refusal says; it must be a problem document that ends the connection."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    return str(json.loads(answer.body)["detail"])


async def read_by(served: Served, *connections: Connection) -> None:
    """Return once the server has read what was sent: it answers one call that came later."""
    del connections
    await served.client.get("/livez")
    await served.client.get("/livez")


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


def large(size: int) -> bytes:
    return json.dumps({"taskId": "large", "payload": {"text": "x" * size}}).encode()


@asynccontextmanager
async def with_one_body_in_the_room() -> AsyncIterator[tuple[Served, Room, Connection, Connection]]:
    """A service whose room for bodies is half full of one that lacks its last 20,000 bytes, with
    the connection that brings it and another one."""
    connections = Timeless()
    connections.room = Room(size=400_000, largest=320_000)
    async with (
        serving(MemoryLedger(wall_clock), None, connections) as served,
        served.connection() as first,
        served.connection() as second,
    ):
        await first.send(post("/tasks", large(180_000))[:-20_000])
        await until(lambda: connections.room.taken > 150_000)
        yield served, connections.room, first, second


async def test_bodies_wait_for_room_and_are_read_on_when_there_is_some() -> None:
    async with with_one_body_in_the_room() as (served, room, first, second):
        body = large(180_000)
        await second.send(post("/tasks", body.replace(b"large", b"other"))[:-20_000])
        await until(lambda: room.taken > 250_000)
        await second.send(body[-20_000:])
        await read_by(served, second)
        served.pass_seconds(ROOM_WITHIN - 1)
        assert await served.accepted() == 0

        await first.send(body[-20_000:])
        assert (await first.answer()).status == 202
        assert (await second.answer()).status == 202
        await until(lambda: room.taken == 0)


async def test_a_body_for_which_there_is_no_room_in_time_is_503() -> None:
    async with with_one_body_in_the_room() as (served, room, _, second):
        body = large(180_000)
        await second.send(post("/tasks", body)[:-40_000])
        await until(lambda: room.taken > 250_000)
        await second.send(b"x" * 10_000)
        await read_by(served, second)
        served.pass_seconds(ROOM_WITHIN)
        answer = await second.answer()
        assert "large bodies" in refusal(answer, 503)
        assert answer.headers["retry-after"] == "1"
        small = await served.client.post("/tasks", content=TASK)
        assert small.status_code == 202
    assert room.taken == 0


async def test_the_time_in_which_a_body_waited_for_room_makes_it_no_slow_one() -> None:
    connections = Timeless(most=2)
    connections.room = room = Room(size=100_000, largest=80_000)
    async with (
        serving(MemoryLedger(wall_clock), None, connections) as served,
        served.connection() as first,
        served.connection() as second,
    ):
        await first.send(post("/tasks", large(60_000))[:-5_000])
        await until(lambda: room.taken > 50_000)
        body = large(40_000).replace(b"large", b"other")
        await second.send(post("/tasks", body)[:-10_000])
        await until(lambda: len(room._waiting) == 1)
        served.pass_seconds(ROOM_WITHIN // 2)
        await first.send(large(60_000)[-5_000:])
        assert (await first.answer()).status == 202
        [(one, since)] = connections._bodies.items()
        for _ in range(FRESH):
            assert not one.slow(connections.now - since)
            connections.tick()
        assert not one.slow(connections.now - since)
        for _ in range(2 * BODY_WITHIN):
            connections.tick()
        assert one.slow(connections.now - since)
        await second.send(body[-10_000:])
        assert (await second.answer()).status == 202


async def test_what_cannot_be_held_at_all_is_503_at_once() -> None:
    connections = Timeless()
    connections.room = Room(size=10_000, largest=8_000)
    async with serving(MemoryLedger(wall_clock), None, connections) as served:
        for path in ("/tasks", "/tasks/batch"):
            answer = await served.say(post(path, large(20_000)))
            assert "large bodies" in refusal(answer, 503)
        assert await served.accepted() == 0
        assert connections.room.taken == 0


async def test_calls_sent_ahead_that_are_never_made_give_their_room_back(served: Served) -> None:
    await served.client.post("/tasks", content=TASK)
    async with served.connection() as connection:
        ahead = [post("/tasks", large(18_000)) for _ in range(3)]
        await connection.send(get("/tasks/t?wait=30") + b"".join(ahead))
        await until(lambda: served.connections.room.taken > 50_000)
    await until(lambda: served.connections.room.taken == 0)


async def test_the_connection_that_is_idle_longest_is_closed_for_a_new_one() -> None:
    async with (
        serving(MemoryLedger(wall_clock), None, Timeless(most=3)) as served,
        served.connection() as busy,
        served.connection() as idle,
        served.connection() as used,
    ):
        await busy.send(post("/tasks", TASK)[:-5])
        for connection in (idle, used):
            await connection.send(get("/livez"))
            assert (await connection.answer()).status == 200
        served.pass_seconds(1)

        assert (await served.say(get("/livez"))).status == 200

        assert await idle.ended()
        await used.send(get("/livez"))
        assert (await used.answer()).status == 200
        await busy.send(TASK[-5:])
        assert (await busy.answer()).status == 202


async def test_where_none_is_idle_one_whose_body_comes_slowly_is_closed_for_a_new_one() -> None:
    async with (
        serving(MemoryLedger(wall_clock), None, Timeless(most=3)) as served,
        served.connection() as fast,
        served.connection() as slow,
        served.connection() as slower,
    ):
        await fast.send(post("/tasks", large(180_000))[:-5])
        await until(lambda: len(served.connections._bodies) == 1)
        for connection in (slow, slower):
            await connection.send(post("/tasks", TASK)[:-5])
            await until(lambda: len(served.connections._bodies) > 1)
        await until(lambda: len(served.connections._bodies) == 3)
        served.pass_seconds(2)

        assert (await served.say(get("/readyz"))).status == 200

        assert "slow" in refusal(await slow.answer(), 503)
        assert await slow.ended()
        await fast.send(large(180_000)[-5:])
        await slower.send(TASK[-5:])
        for connection in (fast, slower):
            assert (await connection.answer()).status == 202
        assert await served.accepted() == 2


async def test_where_none_is_idle_one_that_does_not_read_is_cut_for_a_new_one() -> None:
    async with (
        serving(MemoryLedger(wall_clock), None, Timeless(most=2)) as served,
        served.connection(room=4096) as deaf,
        served.connection() as busy,
    ):
        await served.ledger.submit([Submission("t", "{}", b"digest")])
        await busy.send(get("/tasks/t?wait=30"))
        deaf.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await deaf.send(get("/openapi.json") * 40)
        await until(lambda: _unread(served) > 0 and not served.connections._idle)
        assert (await served.say(get("/readyz"))).status == 503
        await until(lambda: served.connections.count == 2)
        served.pass_seconds(NOT_READING + 1)
        assert (await served.say(get("/readyz"))).status == 200
        assert not served.connections._unread
        await served.ledger.cancel("t", None, None)
        assert (await busy.answer()).status == 200


async def test_a_body_behind_a_call_that_is_under_way_is_not_given_up_for_others() -> None:
    async with (
        serving(MemoryLedger(wall_clock), None, Timeless(most=2)) as served,
        served.connection() as one,
        served.connection() as other,
    ):
        await other.send(post("/tasks", TASK))
        assert (await other.answer()).status == 202
        for connection in (one, other):
            await connection.send(get("/tasks/t?wait=1") + post("/tasks", TASK)[:-5])
        await until(lambda: len(served.connections._bodies) == 2)
        served.pass_seconds(2)
        assert "connections" in refusal(await served.say(get("/readyz")), 503)
        for connection in (one, other):
            assert (await connection.answer()).status == 200
            await connection.send(TASK[-5:])
            assert (await connection.answer()).status == 200


class Told:
    """A connection that remembers what it was told."""

    closed = False
    seconds = 0

    def __init__(self, *, slow: bool = False) -> None:
        self._slow = slow

    def close_idle(self) -> None:
        self.closed = True

    def slow(self, ticks: int) -> bool:
        return self._slow

    def give_up(self) -> None:
        self.closed = True

    cut = give_up

    def second(self) -> None:
        self.seconds += 1


async def test_who_waits_to_be_read_while_the_service_is_busy_is_not_idle() -> None:
    connections = Connections(most=1)
    running = asyncio.create_task(connections.run())
    await asyncio.sleep(0)
    one, two, three = Told(), Told(), Told()
    connections.enter(one)
    time.sleep(0.5)  # noqa: ASYNC251 - the event loop is busy
    for _ in range(5):
        await asyncio.sleep(0)
    connections.enter(two)
    assert [one.closed, two.closed] == [False, False]
    connections.leave(two)
    await until(lambda: connections.now > FRESH + 1)
    connections.enter(three)
    assert [one.closed, three.closed] == [True, False]
    running.cancel()


async def test_many_bodies_that_come_fast_shield_none_that_comes_slowly() -> None:
    connections = Connections(most=LOOKED_AT + 1)
    bodies = [*(Told() for _ in range(LOOKED_AT)), Told(slow=True)]
    for one in bodies:
        connections.enter(one)
        connections.busy(one)
        connections.waits_for_body(one)
    for _ in range(BODY_WITHIN):
        connections.tick()
    for _ in range(2):
        new = Told()
        if not connections.enter(new):
            connections.leave(new)
    assert [one for one in bodies if one.closed] == bodies[-1:]
    assert connections.count == LOOKED_AT + 1


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("then", [b"", post("/tasks", TASK)[:-1]])
def test_who_gives_way_and_does_not_read_is_cut_off(
    new_loop: Callable[[], asyncio.AbstractEventLoop], then: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle connection, and one whose body comes slowly, with answers that nobody has read."""
    monkeypatch.setattr(ending, "LINGER", 0.05)

    class Counted(Timeless):
        answered = 0

        def idle(self, one: Member) -> None:
            super().idle(one)
            self.answered += 1

    async def give_way() -> None:
        connections = Counted(most=1)
        async with (
            serving(MemoryLedger(wall_clock), None, connections) as served,
            served.connection(room=4096) as deaf,
        ):
            deaf.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: served.connections.count == 1)
            [one] = served.connections._idle
            while not _unread(served):
                answered = connections.answered
                await deaf.send(get("/openapi.json"))
                await until(lambda: connections.answered > answered)  # noqa: B023
            await deaf.send(then)
            await until(lambda: not then or one in served.connections._bodies)
            served.pass_seconds(2)
            assert (await served.say(get("/readyz"))).status == 200
            open_ones = one.connections  # type: ignore[attr-defined]
            await until(lambda: one not in open_ones)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(give_way())


async def test_others_are_answered_while_a_second_passes_to_many_connections() -> None:
    connections = Connections()
    many = [Told() for _ in range(10 * AT_ONCE)]
    for one in many:
        connections.enter(one)
    told = [sum(one.seconds for one in many) for _ in connections._second()]
    assert max(after - before for before, after in pairwise(told)) == AT_ONCE
    assert told[0] == 0
    assert [one.seconds for one in many] == [1] * len(many)


async def test_where_none_is_idle_a_new_connection_is_503_and_livez_is_answered() -> None:
    async with (
        serving(
            MemoryLedger(wall_clock),
            Settings(root_path="/unlost", auth="none"),
            Timeless(2, "/unlost"),
        ) as served,
        served.connection() as one,
        served.connection() as two,
    ):
        for connection in (one, two):
            await connection.send(post("/tasks", TASK)[:-5])
        await until(lambda: not served.connections._idle)
        assert "connections" in refusal(await served.say(post("/tasks", TASK)), 503)
        for path in ("/livez", "/unlost/livez"):
            assert (await served.say(get(path))).status == 200
        for connection in (one, two):
            await connection.send(TASK[-5:])
            assert (await connection.answer()).status in {200, 202}


async def test_many_more_connections_than_may_be_leave_no_more_than_may_be() -> None:
    async with serving(MemoryLedger(wall_clock), None, Timeless(most=10)) as served:
        async with AsyncExitStack() as opened:
            for _ in range(200):
                await opened.enter_async_context(served.connection())
            assert served.connections.count <= 10 + BEYOND
            served.pass_seconds(1)
            for _ in range(70):
                await opened.enter_async_context(served.connection())
            assert served.connections.count <= 10 + BEYOND
            assert (await served.say(get("/livez"))).status == 200
        await until(lambda: served.connections.count == 0)


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


async def test_connections_with_much_sent_ahead_go_on_to_it_in_turn() -> None:
    connections, done = Timeless(), 0

    def step() -> None:
        nonlocal done
        done += 1

    for _ in range(2 * AHEAD_AT_ONCE + 1):
        connections.go_ahead(step)
    turns = []
    while done < 2 * AHEAD_AT_ONCE + 1:
        await asyncio.sleep(0)
        turns.append(done)
    assert max(after - before for before, after in pairwise([0, *turns])) == AHEAD_AT_ONCE


class Counted(Timeless):
    turns = 0

    async def turn(self) -> None:
        self.turns += 1
        await super().turn()


async def test_a_large_body_waits_for_its_turn_among_those_of_others() -> None:
    connections = Counted()
    async with serving(MemoryLedger(wall_clock), None, connections) as served:
        for size, turns in ((1_000, 0), (90_000, 1), (250_000, 2)):
            assert (await served.say(post("/tasks", large(size)))).status in {202, 409}
            assert connections.turns == turns
        head, _, body = post("/tasks", large(90_000)).partition(b"\r\n\r\n")
        assert (await served.say(head + b"\r\n\r\n", body[:-1], body[-1:])).status == 409
        assert connections.turns == 3


async def test_a_call_that_was_sent_ahead_waits_for_its_turn_among_those_of_others() -> None:
    connections = Counted()
    async with (
        serving(MemoryLedger(wall_clock), None, connections) as served,
        served.connection() as connection,
    ):
        await connection.send(get("/livez") + get("/readyz"))
        assert [(await connection.answer()).status for _ in range(2)] == [200, 200]
        await connection.send(get("/livez"))
        assert (await connection.answer()).status == 200
    assert connections.turns == 1


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
        await until(lambda: _unread(served) > 0)
        await asyncio.sleep(0.1)
        served.pass_seconds(READ_WITHIN + 1)
        await until(lambda: _unread(served) == 0)
        await until(lambda: served.connections.count <= 1)


def _unread(served: Served) -> int:
    return sum(one.transport.get_write_buffer_size() for one in served.connections._all)  # type: ignore[attr-defined]


async def test_calls_sent_ahead_are_parsed_in_turn_and_take_no_more_than_their_bytes(
    served: Served,
) -> None:
    await served.client.post("/tasks", content=TASK)
    async with served.connection() as connection:
        ahead = b"GET /livez HTTP/1.1\r\n\r\n" * 2_000
        await connection.send(get("/tasks/t?wait=1") + ahead + post("/tasks", large(10_000)))
        await until(lambda: served.connections.room.taken > len(ahead) // 2)
        waiting = [len(getattr(one, "pipeline")) for one in served.connections._all]  # noqa: B009
        assert 1 <= max(waiting) <= 2
        answers = [await connection.answer() for _ in range(2_002)]
    assert [answer.status for answer in answers] == [200] * 2_001 + [202]
    await until(lambda: served.connections.room.taken == 0)


async def test_what_is_sent_ahead_and_cannot_be_held_is_503_after_those_before_it() -> None:
    connections = Timeless()
    connections.room = Room(size=10_000, largest=8_000)
    async with serving(MemoryLedger(wall_clock), None, connections) as served:
        await served.client.post("/tasks", content=TASK)
        async with served.connection() as connection:
            ahead = b"GET /livez HTTP/1.1\r\n\r\n" * 2_000
            await connection.send(get("/tasks/t?wait=1") + ahead)
            statuses = [(await connection.answer()).status for _ in range(2)]
            assert statuses == [200, 200]
            refusal(await connection.answer(), 503)
