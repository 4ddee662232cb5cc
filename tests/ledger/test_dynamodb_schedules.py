"""Schedules on DynamoDB that are made and dropped by several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conformance.scheduling import TZDATA, plan
from tests.conformance.stage import Clock
from tests.ledger.tables import Table
from unlost.ledger.protocol import Ledger
from unlost.schedule import acting
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
