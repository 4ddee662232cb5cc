"""Requests in small pieces: read in turns, a few at once, and judged as any."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.api.checks import until
from tests.api.conftest import Timeless, serving
from tests.api.served import Connection, Served, get, post
from unlost.api.http.connection.connection import HEAD_END
from unlost.api.http.connection.connection import Connection as Ours
from unlost.api.http.connection.connections import BODY_WITHIN, FRESH
from unlost.api.http.connection.drips import EVERY, FEW, IN_A_TURN, PIECE, WITHIN, Drips
from unlost.api.http.connection.patience import HEAD_WITHIN, OVER
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock

TASK = json.dumps({"taskId": "t", "payload": {"text": "x" * 100}}).encode()
POST = post("/tasks", TASK)


class InTests(Drips):
    """Whose turn it is, a test says."""

    def wait(self, one: object) -> None:
        self._waiting.append(one)  # type: ignore[arg-type]


@asynccontextmanager
async def dripping(
    request: bytes, pieces: int = FEW + 1, size: int = 1
) -> AsyncIterator[tuple[Served, Ours, Connection]]:
    """A service to which so many pieces of a request have come, the connection there and here."""
    connections = Timeless(most=1)
    connections.drips = InTests()
    async with (
        serving(MemoryLedger(wall_clock), None, connections) as served,
        served.connection() as connection,
    ):
        await until(lambda: connections.count == 1)
        [one] = connections._all
        assert isinstance(one, Ours)
        for piece in range(pieces):
            await connection.send(request[piece * size : (piece + 1) * size])
            await until(lambda: one._patience._pieces > piece)  # noqa: B023
        yield served, one, connection


def is_read(one: Ours) -> bool:
    return not one.flow.read_paused


async def test_a_request_in_many_small_pieces_is_read_on_when_it_is_its_turn() -> None:
    async with dripping(POST) as (served, one, connection):
        assert not is_read(one)
        await connection.send(POST[FEW + 1 :])
        one.flow.resume_reading()  # as the app asks for
        assert not is_read(one)
        served.connections.drips.turn()
        assert (await connection.answer()).status == 202
        assert is_read(one)
        await connection.send(get("/livez"))
        assert (await connection.answer()).status == 200


@pytest.mark.parametrize(("pieces", "size"), [(FEW, 1), (FEW + 4, 2 * PIECE)])
async def test_few_pieces_and_large_ones_are_read_as_they_come(pieces: int, size: int) -> None:
    text = json.dumps({"taskId": "t", "payload": {"text": "x" * 100_000}}).encode()
    request = post("/tasks", text)
    async with dripping(request, pieces, size) as (_, one, connection):
        assert is_read(one)
        await connection.send(request[pieces * size :])
        assert (await connection.answer()).status == 202


@pytest.mark.parametrize(("request_", "within"), [(POST[:60], HEAD_WITHIN), (POST, OVER)])
async def test_waiting_for_its_turn_is_no_excuse_for_being_slow(
    request_: bytes, within: int
) -> None:
    start = request_.find(b"\r\n\r\n") + 4 if within == OVER else 0
    async with dripping(request_[start:], 0) as (served, one, connection):
        await connection.send(request_[:start])
        for piece in range(FEW + 1):
            before = one._patience._pieces
            await connection.send(request_[start + piece : start + piece + 1])
            await until(lambda: one._patience._pieces > before)  # noqa: B023
        await until(lambda: one.flow.drips)
        served.pass_seconds(within)
        assert (await connection.answer()).status == 408


def pieces_to_the_body(request: bytes) -> tuple[bytes, int, int]:
    """What `dripping` takes to bring the head, and little of the body, in small pieces."""
    return request, FEW + 1, request.find(HEAD_END) // FEW + 1


async def test_a_body_that_waits_for_its_turn_is_judged_by_what_was_read_before() -> None:
    request = post("/tasks", json.dumps({"taskId": "t", "payload": {"x": "x" * 40_000}}).encode())
    pieces = pieces_to_the_body(request)
    async with dripping(*pieces) as (served, one, connection):
        assert one.flow.drips
        await connection.send(request[pieces[1] * pieces[2] :])
        served.pass_seconds(BODY_WITHIN // 10 + 1)
        assert (await served.say(get("/readyz"))).status == 503
        served.connections.drips.turn()
        for _ in range(FRESH):  # what it sent is read in the event loop's next turn
            assert not one.slow(2 * BODY_WITHIN)
            served.connections.tick()
        assert one.slow(2 * BODY_WITHIN)
        assert (await connection.answer()).status == 202


@pytest.mark.parametrize("more", [0, 1])
async def test_a_body_that_brings_little_in_its_turn_is_given_up_for_a_new_connection(
    more: int,
) -> None:
    async with dripping(*pieces_to_the_body(POST)) as (served, one, connection):
        served.pass_seconds(BODY_WITHIN // 10 + 1)
        served.connections.drips.turn()
        for piece in range(FEW + 1, FEW + 1 + more):
            await connection.send(b"x")
            await until(lambda: one._patience._pieces > piece)  # noqa: B023
        for _ in range(0 if more else FRESH):
            served.connections.tick()
        assert one.flow.drips is bool(more)
        assert (await served.say(get("/readyz"))).status == 200
        assert (await connection.answer()).status == 503


async def test_one_that_was_cut_meanwhile_is_passed_by() -> None:
    async with dripping(POST) as (served, one, _):
        one.cut()
        await until(lambda: served.connections.count == 0)
        served.connections.drips.turn()


class Counted:
    turns = 0

    def read_on(self) -> None:
        self.turns += 1

    def cut(self) -> None:
        self.turns = 0


@pytest.mark.parametrize(("many", "share"), [(5, 5), (500, IN_A_TURN), (3_000, 30)])
async def test_few_are_read_in_a_turn_and_all_within_a_second(many: int, share: int) -> None:
    drips = InTests()
    all_ = [Counted() for _ in range(many)]
    for one in all_:
        drips.wait(one)
    turns = 0
    while not all(one.turns for one in all_):
        before = sum(one.turns for one in all_)
        drips.turn()
        turns += 1
        assert sum(one.turns for one in all_) - before <= share
        if turns > 2 * WITHIN / EVERY:
            break
    assert [one.turns for one in all_] == [1] * many


async def test_turns_come_by_themselves_for_as_long_as_somebody_waits() -> None:
    drips = Drips()
    all_ = [Counted() for _ in range(2 * IN_A_TURN + 1)]
    for one in all_:
        drips.wait(one)
    await until(lambda: all(one.turns == 1 for one in all_))
    drips.wait(all_[0])
    await until(lambda: all_[0].turns == 2)
