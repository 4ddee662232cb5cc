"""A ledger for each test, every one in turn: a new home adds a factory to LEDGERS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.conformance.stage import Clock, Stage, must_add_up
from tests.ledger.tables import Table
from tests.postgres.databases import Database
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.telemetry import logs

pytest_plugins = ["tests.aws.plugin", "tests.postgres.plugin", "tests.scheduling"]

Opener = Callable[[], Awaitable[Ledger]]
Factory = Callable[[pytest.FixtureRequest, Path, Clock], AbstractAsyncContextManager[Opener]]


@pytest.fixture(autouse=True)
def events_are_records() -> Iterator[None]:
    """Leave no log of a test's own behind: elsewhere events are records of `logging`."""
    yield
    logs.send_events(None)


@asynccontextmanager
async def memory(
    request: pytest.FixtureRequest, folder: Path, clock: Clock
) -> AsyncIterator[Opener]:
    """What is in memory is lost with its object, so it is opened once."""
    ledger = MemoryLedger(clock)

    async def opener() -> Ledger:
        return ledger

    yield opener


@asynccontextmanager
async def sqlite(
    request: pytest.FixtureRequest, folder: Path, clock: Clock
) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as opened:

        async def opener() -> Ledger:
            ledger = await open_ledger(f"sqlite:///{folder}/ledger.db", clock)
            opened.push_async_callback(ledger.close)
            return ledger

        yield opener


@asynccontextmanager
async def dynamodb(
    request: pytest.FixtureRequest, folder: Path, clock: Clock
) -> AsyncIterator[Opener]:
    """In a fresh table of the emulator, which only tests of this home start."""
    emulator = request.getfixturevalue("emulator")
    async with AsyncExitStack() as opened:
        table = opened.enter_context(Table(emulator.url))

        async def opener() -> Ledger:
            ledger = table.ledger(clock)
            opened.push_async_callback(ledger.close)
            return ledger

        yield opener


@asynccontextmanager
async def postgres(
    request: pytest.FixtureRequest, folder: Path, clock: Clock
) -> AsyncIterator[Opener]:
    """In a new database of a server, which only tests of this home start."""
    server = request.getfixturevalue("postgres")
    with Database(server) as database:
        async with AsyncExitStack() as opened:

            async def opener() -> Ledger:
                ledger = await database.ledger(clock)
                opened.push_async_callback(ledger.close)
                return ledger

            yield opener


LEDGERS: dict[str, Factory] = {
    "memory": memory,
    "sqlite": sqlite,
    "postgres": postgres,
    "dynamodb": dynamodb,
}


MOST = {"dynamodb": 150}
"""Tasks in a test, where each costs a call."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def staged(
    request: pytest.FixtureRequest, folder: Path, clock: Clock
) -> AsyncIterator[Stage]:
    """An empty ledger of the kind that the test asks for; its sums and its audit must hold."""
    async with LEDGERS[request.param](request, folder, clock) as opener:
        stage = Stage(await opener(), clock, opener, MOST.get(request.param, 1_000_000))
        yield stage
        await must_add_up(stage.ledger)


@pytest.fixture(params=LEDGERS)
async def stage(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[Stage]:
    """Every ledger, in turn."""
    async with staged(request, tmp_path, clock) as stage:
        yield stage


@pytest.fixture
def ledger(stage: Stage) -> Ledger:
    """For a test that never reopens it."""
    return stage.ledger


@pytest.fixture
async def other(
    request: pytest.FixtureRequest, stage: Stage, tmp_path: Path, clock: Clock
) -> AsyncIterator[Ledger]:
    """A second, empty ledger of the same kind as `stage`, by the same clock."""
    folder = tmp_path / "other"
    folder.mkdir()
    kind = request.node.callspec.params["stage"]
    async with LEDGERS[kind](request, folder, clock) as opener:
        ledger = await opener()
        yield ledger
        await must_add_up(ledger)
