"""What bodies take while they are held, on a real server: as many bytes as came, and no more."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest

from tests.api.checks import until
from tests.api.conftest import Timeless, serving
from tests.api.served import Connection, Served, large, post, unread
from unlost.api.http.connection import patience
from unlost.api.http.connection.ending import GIVE_WAY_AFTER
from unlost.api.http.connection.room import Room
from unlost.api.http.connection.wide import WideBodies
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.ledger.values import Part, Submitted
from unlost.task import Submission

WIDE = "\N{GRINNING FACE}"
"""A character for which a text takes four bytes for each of all its characters."""


class Slow(MemoryLedger):
    """A ledger that stores nothing until it may; `waiting` is how much waits for that."""

    def __init__(self) -> None:
        super().__init__(wall_clock)
        self.may = asyncio.Event()
        self.waiting = 0

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        self.waiting += len(submissions)
        await self.may.wait()
        return await super().submit(submissions)


@contextmanager
def traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


async def test_a_body_is_held_once() -> None:
    """While more of it is to come, and then while its task waits for the ledger."""
    ledger, count = Slow(), 20
    connections = Timeless()
    room = connections.room
    async with serving(ledger, None, connections) as served, AsyncExitStack() as stack:
        each = [await stack.enter_async_context(served.connection()) for _ in range(count)]
        with traced():
            for number, connection in enumerate(each):
                await _all_but_its_end(connection, number, room)
            taken = room.taken
            assert taken > count * 250_000
            assert tracemalloc.get_traced_memory()[0] < 1.2 * taken
            for connection in each:
                await connection.send(b"}")
            await until(lambda: ledger.waiting == count)
            assert tracemalloc.get_traced_memory()[0] < 1.2 * taken
        ledger.may.set()
        for connection in each:
            assert (await connection.answer()).status == 202
    assert room.taken == 0


async def _all_but_its_end(connection: Connection, number: int, room: Room) -> None:
    """Send the most of a body, in two parts that are read apart."""
    text = post("/tasks", large(250_000).replace(b"large", b"l%04d" % number))
    before = room.taken
    await connection.send(text[:150_000])
    await until(lambda: room.taken > before + 149_000)
    await connection.send(text[150_000:-1])
    await until(lambda: room.taken > before + 250_000)


async def test_of_a_batch_little_is_held_in_more_than_its_bytes() -> None:
    ledger, connections, text = Slow(), Timeless(), WIDE + "x" * 200_000
    tasks = [{"taskId": f"t{number}", "payload": {"text": text}} for number in range(80)]
    body = json.dumps({"tasks": tasks}, ensure_ascii=False).encode()
    call = post("/tasks/batch", body)
    async with serving(ledger, None, connections) as served, served.connection() as connection:
        with traced():
            await connection.send(call)
            await until(lambda: ledger.waiting > 0)
            assert connections.room.taken == len(body)
            assert tracemalloc.get_traced_memory()[0] < 2.5 * len(body)
        ledger.may.set()
        assert json.loads((await connection.answer()).body)["accepted"] == len(tasks)
        for task in tasks:
            record = await ledger.get(str(task["taskId"]), (Part.PAYLOAD,))
            assert record is not None
            assert json.loads(record.payload or "") == task["payload"]


@asynccontextmanager
async def wide_tasks(
    ledger: Slow, connections: Timeless, count: int
) -> AsyncIterator[list[Connection]]:
    """Connections on which as many tasks have come that take more than their bytes."""
    async with serving(ledger, None, connections) as served, AsyncExitStack() as stack:
        each = [await stack.enter_async_context(served.connection()) for _ in range(count)]
        for number, connection in enumerate(each):
            text = (
                large(100_000).replace(b"large", b"l%d" % number).replace(b"xx", WIDE.encode(), 1)
            )
            await connection.send(post("/tasks", text))
        small = await stack.enter_async_context(served.connection())
        await small.send(post("/tasks", large(10)))
        yield [*each, small]


async def test_tasks_that_take_more_than_their_bytes_have_turns_and_small_ones_do_not_wait() -> (
    None
):
    ledger, connections = Slow(), Timeless()
    connections.wide_bodies = WideBodies(1_000_000)
    async with wide_tasks(ledger, connections, 5) as each:
        await until(lambda: connections.room.taken > 5 * 100_000 and ledger.waiting == 2 + 1)
        ledger.may.set()
        assert [(await connection.answer()).status for connection in each] == [202] * 6
    assert connections.room.taken == 0


async def test_a_task_that_has_no_turn_in_time_is_503() -> None:
    ledger, connections = Slow(), Timeless()
    connections.wide_bodies = WideBodies(500_000, patience=0)
    async with wide_tasks(ledger, connections, 2) as [one, other, small]:
        answer = await other.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "large bodies" in json.loads(answer.body)["detail"]
        ledger.may.set()
        assert (await one.answer()).status == (await small.answer()).status == 202


async def test_a_body_is_held_until_its_answer_is_read() -> None:
    connections = Timeless()
    ledger = MemoryLedger(wall_clock)
    async with serving(ledger, None, connections) as served, served.connection(4_096) as reader:
        reader.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await reader.send(post("/tasks", large(250_000)))
        await until(lambda: unread(served) > 100_000)
        assert connections.room.taken > 250_000
        reader.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await reader.answer()).status == 202
        await until(lambda: connections.room.taken == 0)


async def _reading_nothing(stack: AsyncExitStack, served: Served, task: bytes) -> None:
    """Submit a task on a connection whose client reads nothing of the answer."""
    connection = await stack.enter_async_context(served.connection(4_096))
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    before = unread(served)
    await connection.send(post("/tasks", task))
    await until(lambda: unread(served) > before + 100_000)


async def test_who_reads_an_answer_slowly_gives_way_where_others_have_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "READ_WITHIN", 1_000)  # as if each read a little
    connections, other = Timeless(), post("/tasks", large(100_000))
    room = connections.room = Room(size=800_000, largest=320_000)
    async with (
        serving(MemoryLedger(wall_clock), None, connections) as served,
        AsyncExitStack() as stack,
    ):
        await _reading_nothing(stack, served, large(250_000).replace(b"large", b"a"))
        served.pass_seconds(2 * GIVE_WAY_AFTER)
        await served.client.get("/livez")
        assert room.taken > 250_000  # nobody else needs it
        for name in (b"b", b"c"):
            await _reading_nothing(stack, served, large(250_000).replace(b"large", name))
        assert (await served.say(other)).status == 503
        served.pass_seconds(GIVE_WAY_AFTER)
        await until(lambda: room.taken == 0)
        assert (await served.say(other)).status == 202


async def test_who_reads_an_answer_slowly_gives_way_where_others_wait_for_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "READ_WITHIN", 1_000)
    connections, wide = Timeless(), large(200_000).replace(b"xx", WIDE.encode(), 1)
    connections.wide_bodies = WideBodies(1_000_000)
    async with (
        serving(MemoryLedger(wall_clock), None, connections) as served,
        served.connection() as other,
        AsyncExitStack() as stack,
    ):
        await _reading_nothing(stack, served, wide)
        await other.send(post("/tasks", wide.replace(b"large", b"other")))
        await until(lambda: connections.crowded)
        served.pass_seconds(GIVE_WAY_AFTER)
        assert (await other.answer()).status == 202
