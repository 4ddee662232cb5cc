"""A ledger for each test, every one in turn: a new home adds a factory to LEDGERS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.conformance.stage import Clock, Stage, must_add_up
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger

Opener = Callable[[], Awaitable[Ledger]]
Factory = Callable[[Path, Clock], AbstractAsyncContextManager[Opener]]


@asynccontextmanager
async def memory(folder: Path, clock: Clock) -> AsyncIterator[Opener]:
    """What is in memory is lost with its object, so it is opened once."""
    ledger = MemoryLedger(clock)

    async def opener() -> Ledger:
        return ledger

    yield opener


@asynccontextmanager
async def sqlite(folder: Path, clock: Clock) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as opened:

        async def opener() -> Ledger:
            ledger = await open_ledger(f"sqlite:///{folder}/ledger.db", clock)
            opened.push_async_callback(ledger.close)
            return ledger

        yield opener


LEDGERS: dict[str, Factory] = {"memory": memory, "sqlite": sqlite}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=LEDGERS)
async def stage(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[Stage]:
    """An empty ledger; after each test its sums and its audit must hold."""
    async with LEDGERS[request.param](tmp_path, clock) as opener:
        stage = Stage(await opener(), clock, opener)
        yield stage
        await must_add_up(stage.ledger)


@pytest.fixture
def ledger(stage: Stage) -> Ledger:
    """For a test that never reopens it."""
    return stage.ledger
