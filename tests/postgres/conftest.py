"""What the tests of the PostgreSQL ledger need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.conformance.stage import Clock, Stage, must_add_up
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.ledger.protocol import Ledger


@pytest.fixture
def database(postgres: Server) -> Iterator[Database]:
    """An empty ledger's database."""
    with Database(postgres) as database:
        yield database


@pytest.fixture
async def alone(database: Database, clock: Clock) -> AsyncIterator[Stage]:
    """A stage on PostgreSQL only; its sums and its audit must hold."""
    async with AsyncExitStack() as opened:

        async def opener() -> Ledger:
            ledger = await database.ledger(clock)
            opened.push_async_callback(ledger.close)
            return ledger

        stage = Stage(await opener(), clock, opener)
        yield stage
        await must_add_up(stage.ledger)


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may end."""
    with Server() as server:
        yield server
