"""Large answers: made when they have their turn, and sent as fast as they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.virtual import in_virtual_time
from unlost.api.answers.large import GIVE_WAY_AFTER, PIECE, READ_WITHIN, Large
from unlost.api.answers.turns import PATIENCE, Turns
from unlost.api.problems import Unavailable
from unlost.api.request.leaving import ClientGone

SIZE = 1_000_000


class Client:
    """Somebody who waits for an answer, reads it, and may leave."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.messages: list[Any] = []
        self.left = asyncio.Event()

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Takes so many seconds for each piece of the answer."""
        if message["type"] == "http.response.body":
            await asyncio.sleep(self.seconds)
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    async def get(self, answer: Large) -> None:
        await answer({"type": "http"}, self.receive, self.send)


class Made:
    """Makes an answer of these parts, and counts how often."""

    def __init__(self, parts: Sequence[bytes] = (b"x" * SIZE,)) -> None:
        self.parts = parts
        self.times = 0

    async def __call__(self) -> Sequence[bytes]:
        self.times += 1
        return self.parts


def free(turns: Turns) -> bool:
    """Whether nobody has anything of it."""
    turn = turns.at_once(10**9)
    if turn is not None:
        turn.end()
    return turn is not None


@pytest.mark.parametrize("sizes", [[], [0], [5], [PIECE], [PIECE + 1], [3] * 90_000, [1, 900_000]])
async def test_an_answer_comes_whole_and_says_how_long_it_is(sizes: list[int]) -> None:
    turns, client = Turns(SIZE), Client()
    parts = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    await client.get(Large(turns, SIZE, Made(parts), 202, {"X-More": "yes"}))
    assert client.body == b"".join(parts)
    assert client.messages[0]["status"] == 202
    assert client.headers[b"content-length"] == str(sum(sizes)).encode()
    assert client.headers[b"content-type"] == b"application/json"
    assert client.headers[b"x-more"] == b"yes"
    assert [message.get("more_body", False) for message in client.messages[1:]].count(False) == 1
    assert max(len(message["body"]) for message in client.messages[1:-1] or [{"body": b""}]) <= (
        2 * PIECE
    )
    assert free(turns)


async def test_a_small_answer_is_sent_at_once_and_takes_up_nothing() -> None:
    turns, client = Turns(SIZE), Client(seconds=60)
    getting = asyncio.create_task(client.get(Large(turns, SIZE, Made([b"x" * PIECE]))))
    await asyncio.sleep(0.01)
    assert free(turns)
    getting.cancel()


@in_virtual_time
async def test_nothing_is_made_for_who_waits_in_vain() -> None:
    turns, made, client = Turns(SIZE), Made(), Client()
    turns.at_once(SIZE)
    with pytest.raises(Unavailable):
        await client.get(Large(turns, SIZE, made))
    assert (made.times, client.messages) == (0, [])
    assert asyncio.get_running_loop().time() == PATIENCE


async def test_nothing_is_made_for_who_has_left_meanwhile() -> None:
    turns, made, client = Turns(SIZE), Made(), Client()
    first = turns.at_once(SIZE)
    assert first is not None
    getting = asyncio.create_task(client.get(Large(turns, SIZE, made)))
    await asyncio.sleep(0.01)
    client.left.set()
    await asyncio.sleep(0.01)
    first.end()
    with pytest.raises(ClientGone):
        await getting
    assert made.times == 0
    assert free(turns)


async def test_what_cannot_be_made_takes_up_nothing() -> None:
    async def fails() -> Sequence[bytes]:
        raise LookupError

    turns, client = Turns(SIZE), Client()
    with pytest.raises(LookupError):
        await client.get(Large(turns, SIZE, fails))
    assert client.messages == []
    assert free(turns)


async def test_what_is_sent_counts_with_its_own_size() -> None:
    turns, client = Turns(2 * SIZE), Client(seconds=60)
    getting = asyncio.create_task(client.get(Large(turns, 10, Made())))
    await asyncio.sleep(0.01)
    assert turns.at_once(SIZE + 1) is None
    assert turns.at_once(SIZE) is not None
    getting.cancel()


@in_virtual_time
async def test_a_client_that_does_not_read_on_is_sent_away() -> None:
    turns, client = Turns(SIZE), Client(seconds=READ_WITHIN + 1)
    with pytest.raises(ClientGone):
        await client.get(Large(turns, SIZE, Made()))
    assert asyncio.get_running_loop().time() == READ_WITHIN
    assert free(turns)


@in_virtual_time
async def test_a_slow_client_gets_all_of_it_where_nobody_waits() -> None:
    turns, client = Turns(SIZE), Client(seconds=READ_WITHIN - 1)
    await client.get(Large(turns, SIZE, Made()))
    assert client.body == b"x" * SIZE
    assert asyncio.get_running_loop().time() > 2 * PATIENCE


@in_virtual_time
async def test_a_slow_client_gives_way_to_who_waits_before_they_are_told_to_come_again() -> None:
    turns, slow, next_one = Turns(SIZE), Client(seconds=READ_WITHIN - 1), Client()
    getting = asyncio.create_task(slow.get(Large(turns, SIZE, Made())))
    await asyncio.sleep(1)
    await next_one.get(Large(turns, SIZE, Made()))
    assert next_one.body == b"x" * SIZE
    assert asyncio.get_running_loop().time() <= GIVE_WAY_AFTER + READ_WITHIN < PATIENCE
    with pytest.raises(ClientGone):
        await getting


async def test_memory_is_given_back_after_a_large_answer_only() -> None:
    turns, client = Turns(4 * SIZE), Client()
    await client.get(Large(turns, SIZE, Made([b"x" * SIZE])))
    assert not turns.freed.is_set()
    await client.get(Large(turns, SIZE, Made([b"x" * SIZE] * 2)))
    assert turns.freed.is_set()
