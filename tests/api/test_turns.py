"""Turns for large answers: how many bytes of them are there at once, and who waits for whom."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.virtual import in_virtual_time
from unlost.api.answers.turns import PATIENCE, Turn, Turns
from unlost.api.problems import Unavailable


def taken(turns: Turns, size: int) -> Turn:
    turn = turns.at_once(size)
    assert turn is not None
    return turn


async def waiting(turns: Turns, size: int) -> asyncio.Task[Turn]:
    """Somebody who waits for so many bytes."""
    task = asyncio.create_task(turns.wait(size))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_there_is_room_for_so_many_bytes_and_no_more() -> None:
    turns = Turns(100)
    first = taken(turns, 60)
    taken(turns, 40)
    assert turns.at_once(1) is None
    first.keep(50)
    assert turns.at_once(11) is None
    taken(turns, 10)
    first.end()
    first.end()
    taken(turns, 50)
    assert turns.at_once(1) is None


async def test_what_is_more_than_all_room_has_all_of_it() -> None:
    turns = Turns(100)
    one = taken(turns, 1)
    assert turns.at_once(500) is None
    one.end()
    taken(turns, 500).end()
    taken(turns, 100)


async def test_first_come_first_served() -> None:
    turns = Turns(100)
    first = taken(turns, 90)
    large, small = await waiting(turns, 80), await waiting(turns, 5)
    assert turns.wanted
    assert turns.at_once(1) is None, "others came before"
    first.keep(20)
    await asyncio.sleep(0)
    assert (await large, small.done()) == (large.result(), False)
    large.result().end()
    await small
    assert not turns.wanted


async def test_all_get_their_turn_for_whom_there_is_room() -> None:
    turns = Turns(100)
    first = taken(turns, 100)
    three = [await waiting(turns, 40) for _ in range(3)]
    first.end()
    await asyncio.gather(*three[:2])
    assert not three[2].done()
    three[0].result().end()
    await three[2]


async def test_an_answer_that_has_become_larger_is_made_up_for() -> None:
    turns = Turns(100)
    one, two = taken(turns, 50), taken(turns, 50)
    one.keep(90)
    two.end()
    assert turns.at_once(11) is None
    taken(turns, 10)


@in_virtual_time
async def test_who_has_waited_for_long_is_told_to_come_again() -> None:
    turns = Turns(100)
    first = taken(turns, 100)
    began = asyncio.get_running_loop().time()
    late = await waiting(turns, 100)
    await asyncio.sleep(1)
    later = await waiting(turns, 10)
    first.keep(50)
    with pytest.raises(Unavailable) as refusal:
        await late
    assert asyncio.get_running_loop().time() - began == PATIENCE == 30
    assert refusal.value.headers == {"Retry-After": "1"}
    await later
    first.end()
    later.result().end()
    taken(turns, 100)


async def test_who_goes_away_is_passed_over() -> None:
    turns = Turns(100)
    first = taken(turns, 60)
    large, small = await waiting(turns, 60), await waiting(turns, 40)
    large.cancel()
    await small
    small.result().end()
    first.end()
    taken(turns, 100)


async def test_who_goes_away_as_their_turn_comes_gives_it_on() -> None:
    turns = Turns(100)
    first = taken(turns, 100)
    one, other = await waiting(turns, 100), await waiting(turns, 100)
    first.end()
    one.cancel()
    await other
    assert one.cancelled()
    other.result().end()
    taken(turns, 100)
