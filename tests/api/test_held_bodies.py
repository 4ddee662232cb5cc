"""Bodies that are held, on a real server: they wait for room, and for their turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.api.checks import until
from tests.api.conftest import Counted, Timeless, serving
from tests.api.served import TASK, Connection, Served, large, post, read_by, refusal
from unlost.api.http.connection.connections import BODY_WITHIN, FRESH
from unlost.api.http.connection.patience import ROOM_WITHIN
from unlost.api.http.connection.room import Room
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock


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


async def test_a_large_body_waits_for_its_turn_among_those_of_others() -> None:
    connections = Counted()
    async with serving(MemoryLedger(wall_clock), None, connections) as served:
        for size, turns in ((1_000, 0), (90_000, 1), (250_000, 2)):
            assert (await served.say(post("/tasks", large(size)))).status in {202, 409}
            assert connections.turns == turns
        head, _, body = post("/tasks", large(90_000)).partition(b"\r\n\r\n")
        assert (await served.say(head + b"\r\n\r\n", body[:-1], body[-1:])).status == 409
        assert connections.turns == 3
