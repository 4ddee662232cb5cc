"""`GET /events`: what happens, as it happens, to those who keep up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from itertools import pairwise
from typing import Any

import pytest

from tests.api.checks import until
from tests.api.served import Connection, Served, get
from unlost.access.caller import Caller
from unlost.access.keys import Key
from unlost.api.calls import events
from unlost.api.calls.events import Events
from unlost.api.calls.watching.following import BUFFERED, PIECES, Follower, Following, Recent
from unlost.api.calls.watching.watch import Watch
from unlost.api.problems import Unavailable
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.ledger.values import Transition
from unlost.task import State, Submission


async def blocks(connection: Connection) -> AsyncIterator[str]:
    """The stream's blocks, out of their HTTP chunks."""
    text = ""
    while True:
        size = int(await connection.reader.readline(), 16)
        text += (await connection.reader.readexactly(size + 2))[:-2].decode()
        if not size:
            return
        *complete, text = text.split("\n\n")
        for block in complete:
            yield block


def event(block: str) -> tuple[str, dict[str, Any]]:
    first, second = block.split("\n")
    assert first.startswith("event: ")
    assert second.startswith("data: ")
    return first.removeprefix("event: "), json.loads(second.removeprefix("data: "))


async def test_each_transition_is_an_event(served: Served) -> None:
    async with served.connection() as connection:
        await connection.send(get("/events"))
        status, headers = await connection.head()
        assert status == 200
        assert headers["content-type"] == "text/event-stream"
        stream = blocks(connection)
        assert (await anext(stream)).startswith(":")

        await served.client.post("/tasks", json={"taskId": "é\u2028", "payload": {}, "type": "x"})
        await served.client.post("/tasks/%C3%A9%E2%80%A8/cancel")

        seen = [event(await asyncio.wait_for(anext(stream), 5)) for _ in range(2)]

    assert [name for name, _ in seen] == ["task", "task"]
    assert [data["state"] for _, data in seen] == ["queued", "cancelled"]
    for _, data in seen:
        assert data.keys() == {"taskId", "type", "state", "attempt", "at"}
        assert (data["taskId"], data["type"], data["attempt"]) == ("é\u2028", "x", 0)
        assert data["at"].endswith("Z")


async def test_several_followers_share_one_subscription_and_leave_none_behind(
    served: Served,
) -> None:
    async with served.connection() as one, served.connection() as two:
        streams = []
        for connection in (one, two):
            await connection.send(get("/events"))
            await connection.head()
            streams.append(blocks(connection))
            assert (await anext(streams[-1])).startswith(":")
        assert served.app.watch.watchers == 2
        await served.client.post("/tasks", json={"taskId": "t", "payload": {}})
        for stream in streams:
            assert event(await asyncio.wait_for(anext(stream), 5))[1]["taskId"] == "t"
    await until(lambda: served.app.watch.watchers == 0)


async def test_the_stream_ends_properly_when_the_service_stops(served: Served) -> None:
    async with served.connection() as connection:
        await connection.send(get("/events"))
        await connection.head()
        stream = blocks(connection)
        await anext(stream)

        served.stop.set()

        assert [block async for block in stream] == []
        assert await connection.ended()
    await asyncio.wait_for(served.running, 5)


async def test_silence_is_broken_by_comments() -> None:
    sent: list[bytes] = []
    enough = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if len(sent) > 4:
            enough.set()

    async def holds(_: Caller) -> bool:
        return True

    stream = Events(Watch(MemoryLedger(wall_clock)), holds, keep_alive=0.01).stream
    await stream({"type": "http", "method": "GET"}, receive, send)

    assert len(sent) > 4
    assert all(text.startswith(b":") and text.endswith(b"\n\n") for text in sent[1:])


async def test_a_stream_ends_within_a_comment_once_its_key_is_one_no_more() -> None:
    answers = [True, True, False]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    async def holds(_: Caller) -> bool:
        return answers.pop(0)

    stream = Events(Watch(MemoryLedger(wall_clock)), holds, keep_alive=0.01).stream
    await asyncio.wait_for(stream({"type": "http", "method": "GET"}, receive, send), 10)

    assert answers == []
    assert sent[-1] == {"type": "http.response.body"}


async def test_a_stream_that_is_read_too_slowly_ends_with_its_key_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "TO_END", 0.01)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body"):
            await asyncio.Event().wait()  # what was sent before is not read yet

    async def holds(_: Caller) -> bool:
        return False

    stream = Events(Watch(MemoryLedger(wall_clock)), holds, keep_alive=0.01).stream
    await asyncio.wait_for(stream({"type": "http", "method": "GET"}, receive, send), 10)

    assert [message.get("body") for message in sent] == [None, b": following\n\n", None]


async def test_a_slow_reader_learns_how_many_events_it_missed() -> None:
    recent = Recent(room=3)
    recent.put([("mail", b"0")])
    follower = Follower(recent)
    for some in ([b"1", b"2"], [b"3", b"4", b"5"], [b"6"]):
        recent.put([("mail", event) for event in some])
        follower.tell()

    assert await follower.take(1) == b'event: lagged\ndata: {"dropped":3}\n\n456'
    recent.put([("mail", b"7")])
    follower.tell()
    assert await follower.take(1) == b"7"
    assert await follower.take(0.001) == b""


async def test_events_are_kept_once_within_a_bound_and_given_in_pieces() -> None:
    recent = Recent(room=1_000, size=100_000)
    one, other = Follower(recent), Follower(recent)
    for number in range(500):
        recent.put([("mail", b"%0999d" % number + b"\n")])
    for follower in (one, other):
        pieces: list[bytes] = []
        while follower.waits:
            follower.tell()
            pieces += [await follower.take(0) for _ in range(PIECES)]
        text = b"".join(pieces)
        assert text.startswith(b'event: lagged\ndata: {"dropped":400}\n\n')
        assert [int(line) for line in text.splitlines()[3:]] == [*range(400, 500)]
        assert max(map(len, pieces)) < 20_000


async def test_waits_and_streams_hold_half_of_the_connections_at_most() -> None:
    ledger = MemoryLedger(wall_clock)
    watch = Watch(ledger, most=2)
    await ledger.submit([Submission("t", "{}", b"digest")])
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(watch.until_terminal("t", 30, gone))
    await asyncio.sleep(0)
    async with watch.follow():
        with pytest.raises(Unavailable):
            async with watch.follow():
                pass
        await asyncio.wait_for(watch.until_terminal("t", 30, gone), 10)
        assert not waiting.done()
    gone.set_result(None)
    await waiting


async def test_a_reader_that_does_not_read_holds_up_nobody(served: Served) -> None:
    names = [f"{number}-{'x' * 200}" for number in range(BUFFERED + 20_000)]
    async with served.connection(room=4096) as connection:
        await connection.send(get("/events"))
        await connection.head()
        stream = blocks(connection)
        assert (await anext(stream)).startswith(":")
        for start in range(0, len(names), 1_000):
            tasks = [{"taskId": name, "payload": {}} for name in names[start : start + 1_000]]
            answer = await served.client.post("/tasks/batch", json={"tasks": tasks})
            assert answer.json()["accepted"] == 1_000
        seen = dropped = 0
        while seen + dropped < len(names):
            name, data = event(await asyncio.wait_for(anext(stream), 10))
            seen += name == "task"
            dropped += data.get("dropped", 0)

    assert seen + dropped == len(names)
    assert dropped > 0


async def test_a_head_has_no_stream(served: Served) -> None:
    answer = await served.client.head("/events")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize("state", State)
async def test_what_is_sent_is_one_line_of_json(state: State) -> None:
    watch = Watch(MemoryLedger(wall_clock))
    async with watch.follow() as follower:
        watch._spread([Transition('a"\r\n', "x\u0085", state, 3, 1)])
        text = (await follower.take(1)).decode()

    assert text.count("\n") == 3
    assert "\r" not in text
    assert event(text.rstrip())[1]["taskId"] == 'a"\r\n'


async def test_many_followers_get_what_happens_one_after_another() -> None:
    following = Following()
    with ExitStack() as opened:
        followers = [opened.enter_context(following.follower()) for _ in range(200)]
        following.put([Transition("t", "mail", State.QUEUED, 0, 1)])
        left = [len(followers)]
        async with asyncio.timeout(10):
            while left[-1]:
                await asyncio.sleep(0)
                left.append(sum(one.waits for one in followers))
        assert max(before - after for before, after in pairwise(left)) == 1
        texts = {await one.take(0) for one in followers}
    assert len(texts) == 1
    assert b'"taskId":"t"' in texts.pop()


async def test_a_follower_with_much_to_get_goes_on_after_the_others() -> None:
    following, got = Following(), 0
    with following.follower() as one, following.follower() as other:
        following.put([Transition("x" * 200, "mail", State.QUEUED, 0, 1)] * 2_000)
        async with asyncio.timeout(10):
            while text := await one.take(1):
                got += text.count(b"event: task")
                if got == 2_000:
                    break
                assert other.waits or other._turn.is_set()
        assert (await other.take(1)).count(b"event: task") > 0


def of(name: str) -> Caller:
    return Caller(Key(name, frozenset({"read"}), 0, ()))


@pytest.mark.parametrize("by_wait", [True, False])
async def test_a_key_that_has_all_places_gives_some_to_another(by_wait: bool) -> None:
    ledger = MemoryLedger(wall_clock)
    watch = Watch(ledger, most=4)
    await ledger.submit([Submission("t", "{}", b"digest")])
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    flood = [asyncio.create_task(watch.until_terminal("t", 30, gone, "loud")) for _ in range(4)]
    await asyncio.sleep(0)
    async with AsyncExitStack() as opened:
        for number in range(2):
            if by_wait:
                flood.append(asyncio.create_task(watch.until_terminal("t", 30, gone, "quiet")))
            else:
                await opened.enter_async_context(watch.follow(of("quiet")))
            await asyncio.wait_for(flood[number], 10)
        await asyncio.wait_for(watch.until_terminal("t", 30, gone, "quiet"), 10)
        with pytest.raises(Unavailable):
            await opened.enter_async_context(watch.follow(of("loud")))
        assert not any(one.done() for one in flood[2:])
        assert watch.watchers == 4
    gone.set_result(None)
    await asyncio.gather(*flood)
    assert watch.watchers == 0


async def test_a_stream_whose_place_another_key_gets_ends() -> None:
    watch = Watch(MemoryLedger(wall_clock), most=2)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    async def holds(_: Caller) -> bool:
        return True

    stream = Events(watch, holds).stream
    streams = [
        asyncio.create_task(stream({"type": "http", "method": "GET"}, receive, send))
        for _ in range(2)
    ]
    await until(lambda: watch.watchers == 2)
    async with watch.follow(of("another")):
        await asyncio.wait_for(streams[0], 5)
        assert sent[-1] == {"type": "http.response.body"}
        assert not streams[1].done()
    streams[1].cancel()
