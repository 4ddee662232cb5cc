"""Calls that are sent before the one ahead of them is answered, on a real server."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from tests.api.checks import until
from tests.api.conftest import Counted, Timeless, serving
from tests.api.served import TASK, Served, get, large, post, refusal
from unlost.api.http.connection.connections import AHEAD_AT_ONCE
from unlost.api.http.connection.room import Room
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock


async def test_calls_sent_ahead_that_are_never_made_give_their_room_back(served: Served) -> None:
    await served.client.post("/tasks", content=TASK)
    async with served.connection() as connection:
        ahead = [post("/tasks", large(18_000)) for _ in range(3)]
        await connection.send(get("/tasks/t?wait=30") + b"".join(ahead))
        await until(lambda: served.connections.room.taken > 50_000)
    await until(lambda: served.connections.room.taken == 0)


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
