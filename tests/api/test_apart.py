"""A connection in which something of ours fails is cut, and the others are looked after."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.unit.virtual import in_virtual_time
from unlost.api.http.connection.connections import Connections
from unlost.api.http.connection.drips import IN_A_TURN, Drips
from unlost.api.http.connection.room import Room


class Connection:
    """One that remembers what it was told; where it `fails`, it only is cut."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.told = 0
        self.was_cut = False

    def _told(self) -> None:
        if self.fails:
            raise ValueError("a bug")
        self.told += 1

    second = read_on = go_on = hold_up = close_idle = give_up = _told

    def slow(self, ticks: int) -> bool:
        return False

    def cut(self) -> None:
        self.was_cut = True


@pytest.fixture
def pair(caplog: pytest.LogCaptureFixture) -> list[Connection]:
    caplog.set_level(logging.ERROR)
    return [Connection(fails=True), Connection()]


def apart(pair: list[Connection], caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the one that failed was cut, with a line in the log, and the other was told."""
    bad, good = pair
    told = [one.getMessage() for one in caplog.records]
    return bad.was_cut and not good.was_cut and good.told > 0 and "api.connection_failed" in told


@in_virtual_time
async def seconds_of(connections: Connections, seconds: float) -> None:
    running = asyncio.create_task(connections.run())
    await asyncio.sleep(seconds)
    assert not running.done()
    running.cancel()


def test_time_passes_for_the_others(
    pair: list[Connection], caplog: pytest.LogCaptureFixture
) -> None:
    connections = Connections()
    for one in pair:
        connections.enter(one)
    seconds_of(connections, 3.5)
    assert apart(pair, caplog)
    assert pair[1].told == 3


def test_what_comes_behind_other_answers_goes_on(
    pair: list[Connection], caplog: pytest.LogCaptureFixture
) -> None:
    connections = Connections()
    connections.answered_elsewhere.extend((one, one.go_on) for one in pair)
    seconds_of(connections, 0.5)
    assert apart(pair, caplog)


def test_a_new_connection_has_its_place(
    pair: list[Connection], caplog: pytest.LogCaptureFixture
) -> None:
    connections = Connections(most=1)
    assert connections.enter(pair[0])
    seconds_of(connections, 1)
    assert connections.enter(pair[1])
    seconds_of(connections, 1.5)
    assert apart(pair, caplog)


@in_virtual_time
async def both_turns(drips: Drips, pair: list[Connection]) -> None:
    for one in [*pair, *(Connection() for _ in range(IN_A_TURN))]:
        drips.wait(one)
    drips.wait(last := Connection())
    await asyncio.sleep(1)
    assert last.told


def test_it_is_the_others_turn_to_be_read(
    pair: list[Connection], caplog: pytest.LogCaptureFixture
) -> None:
    both_turns(Drips(), pair)
    assert apart(pair, caplog)


def test_there_is_room_for_the_others(
    pair: list[Connection], caplog: pytest.LogCaptureFixture
) -> None:
    room = Room(1_000, 500)
    most = object()
    assert room.take(most, 900)
    for one in pair:
        assert room.take(one, 10)
        room._waiting[one] = one
    room.give_back(most)
    room.wake()
    assert apart(pair, caplog)
