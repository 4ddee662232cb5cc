"""What lasts as long as its process outlasts what one turn of it raises, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest

from tests.unit.virtual import clock, in_virtual_time
from unlost.access.keys import Key
from unlost.api.app import App, create_app
from unlost.api.http.known_keys import KnownKeys
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import Counts
from unlost.settings import Settings
from unlost.telemetry.lasting import TOLD_EVERY, lasting
from unlost.telemetry.measures import Measures
from unlost.telemetry.measuring import Recorder, publishing


class Faulty(MemoryLedger):
    """Fails at the first of these calls, with what nobody has foreseen."""

    def __init__(self, call: str) -> None:
        super().__init__(clock)
        self._call = call
        self.calls = 0

    def _called(self, name: str) -> None:
        self.calls += name == self._call
        if name == self._call and self.calls == 1:
            raise ValueError(name)

    async def counts(self) -> Counts:
        self._called("counts")
        return await super().counts()

    async def keys(self) -> list[Key]:
        self._called("keys")
        return await super().keys()

    async def publish_measures(self, process: str, measures: Measures) -> bool:
        self._called("publish")
        return await super().publish_measures(process, measures)


@asynccontextmanager
async def aside(step: Awaitable[Any]) -> Any:
    task = asyncio.ensure_future(step)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def sampling(ledger: Faulty) -> AbstractAsyncContextManager[Any]:
    app: App = create_app(ledger, Settings(), clock)
    return app._running(None)


def keeping_keys(ledger: Faulty) -> AbstractAsyncContextManager[Any]:
    return aside(KnownKeys(ledger, clock, "sqlite:///x.db").keep_fresh())


def measuring(ledger: Faulty) -> AbstractAsyncContextManager[Any]:
    recorder = Recorder()
    recorder.cancelled("mail")
    return publishing(ledger, recorder)


@pytest.mark.parametrize(
    ("part", "call", "running"),
    [
        ("rates", "counts", sampling),
        ("keys", "keys", keeping_keys),
        ("measures", "publish", measuring),
    ],
)
def test_it_goes_on_behind_an_error(
    part: str,
    call: str,
    running: Callable[[Faulty], AbstractAsyncContextManager[Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    @in_virtual_time
    async def outlasts() -> None:
        ledger = Faulty(call)
        async with running(ledger):
            await asyncio.sleep(61)
            assert ledger.calls >= 2

    outlasts()
    told = [one for one in caplog.records if one.getMessage() == "process.turn_failed"]
    assert [one.__dict__["part"] for one in told] == [part]
    assert told[0].exc_info is not None


@in_virtual_time
async def test_what_fails_at_each_turn_is_told_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1
        raise ValueError

    async with aside(lasting("any", turn, 1)):
        await asyncio.sleep(2 * TOLD_EVERY - 0.5)
    assert turns == 2 * TOLD_EVERY
    assert [one.getMessage() for one in caplog.records] == ["process.turn_failed"] * 2
