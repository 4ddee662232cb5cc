"""Schedules on DynamoDB that are made and dropped by several at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.conformance.scheduling import TZDATA, plan
from tests.conformance.stage import Clock
from tests.ledger.place import Place
from tests.ledger.tables import Table
from unlost.ledger.dynamodb.schedules.scheduling import AT_ONCE
from unlost.ledger.dynamodb.stored.schedule import NUMBER
from unlost.ledger.protocol import Ledger
from unlost.schedule import acting
from unlost.schedule.deciding import decide
from unlost.schedule.planned import times_of
from unlost.schedule.schedule import Move, Moved


class Overtaken:
    """A client that lets others be quicker before its first query."""

    def __init__(self, client: Any, others: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._others: Callable[[], Awaitable[None]] | None = others
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **arguments: Any) -> Any:
        others, self._others = self._others, None
        if others is not None:
            asyncio.run_coroutine_threadsafe(_done(others), self._loop).result()
        return self._client.query(**arguments)


async def _done(others: Callable[[], Awaitable[None]]) -> None:
    await others()


def _new(clock: Clock) -> Move:
    what = plan()
    return acting.created("nightly", what, times_of(what), clock.now, TZDATA, paused=False)


async def _must_be_whole(ledger: Ledger, move: Move) -> None:
    assert (await ledger.schedule("nightly"))[1] == move.schedule
    assert await ledger.schedules("", 10) == [move.schedule]


async def test_who_makes_a_schedule_that_another_has_just_made_leaves_it_whole(
    table: Table,
) -> None:
    clock = Clock()
    first, new = table.ledger(clock), _new(clock)
    await first.open()

    async def make() -> None:
        assert await first.move_schedules([new]) == [Moved.DONE]

    second = table.ledger(clock, client=Overtaken(table.client, make))
    assert await second.move_schedules([new]) == [Moved.STALE]
    await _must_be_whole(first, new)
    await first.close()
    await second.close()


async def test_a_schedule_that_is_made_anew_while_it_is_dropped_is_whole(table: Table) -> None:
    clock = Clock()
    first, new = table.ledger(clock), _new(clock)
    await first.open()
    await first.move_schedules([new])

    async def make() -> None:
        assert await first.move_schedules([new]) == [Moved.DONE]

    second = table.ledger(clock, client=Overtaken(table.client, make))
    assert await second.drop_schedule("nightly")
    await _must_be_whole(first, new)
    await first.close()
    await second.close()


@pytest.fixture
async def place(table: Table) -> AsyncIterator[Place]:
    place = Place(table, Clock())
    yield place
    await place.own.close()


def _many(clock: Clock, count: int, payload: str = "{}") -> list[Move]:
    what = plan(payload)
    return [
        acting.created(f"s{n:03}", what, times_of(what), clock.now, TZDATA, paused=False)
        for n in range(count)
    ]


async def test_what_is_due_is_found_behind_entries_that_are_out_of_date(place: Place) -> None:
    new = _many(place.clock, 40)
    await place.ledger.move_schedules(new)
    place.clock.advance(11)
    place.index.stop()
    before = await place.ledger.due_schedules(3)
    assert [one.id for one in before.schedules] == ["s000", "s001", "s002"]
    for one in new[:30]:
        times = times_of(one.schedule.plan)
        [tick] = decide(one.schedule, times, place.clock.now, TZDATA)
        assert await place.ledger.move_schedules([tick]) == [Moved.DONE]
    behind = await place.ledger.due_schedules(3)
    assert [one.id for one in behind.schedules] == ["s030", "s031", "s032"]
    assert behind.next == new[33].schedule.next


async def test_payloads_are_read_only_as_far_as_they_fit(place: Place) -> None:
    await place.ledger.move_schedules(_many(place.clock, 70, '{"n": "' + "x" * 9_000 + '"}'))
    asked: list[int] = []
    ask = place.table.client.batch_get_item

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(place.table.client, name)

        def batch_get_item(self, **arguments: Any) -> Any:
            [wanted] = arguments["RequestItems"].values()
            asked.append(sum(one["sk"] == {"S": "payload"} for one in wanted["Keys"]))
            return ask(**arguments)

    ledger = place.table.ledger(place.clock, client=Counting())
    assert len(await ledger.schedules("", 70, room=15_000)) == 2
    place.clock.advance(11)
    assert len((await ledger.due_schedules(70, room=15_000)).schedules) == 2
    assert sum(asked) <= 2 * AT_ONCE
    await ledger.close()


async def test_many_are_made_in_one_call_and_counted(place: Place) -> None:
    new = _many(place.clock, 100)
    assert await place.ledger.move_schedules(new) == [Moved.DONE] * 100
    assert await place.ledger.drop_schedule("s000")
    item = place.table.item(*NUMBER)
    assert item is not None
    assert item["number"] == {"N": "99"}
