"""How many connections a real server has, and which give way; the seconds are the test's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest
import uvloop

from tests.api.checks import until
from tests.api.conftest import Timeless, serving
from tests.api.served import TASK, get, large, post, refusal, unread
from unlost.api.http.connection import ending
from unlost.api.http.connection.connections import (
    AT_ONCE,
    BEYOND,
    BODY_WITHIN,
    FRESH,
    LOOKED_AT,
    Connections,
    Member,
)
from unlost.api.http.connection.ending import NOT_READING
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings
from unlost.task import Submission


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
        await until(lambda: unread(served) > 0 and not served.connections._idle)
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
            while not unread(served):
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
