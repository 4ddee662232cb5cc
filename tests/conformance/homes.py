"""Real homes for tests without fixtures: an empty store each, and ledgers on it."""

from __future__ import annotations

import tempfile
from typing import Protocol

from tests.aws.emulator import Emulator
from tests.conformance.stage import Clock
from tests.ledger.tables import Table
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger


class Home(Protocol):
    """An empty store, and ledgers on it."""

    async def open(self, clock: Clock) -> Ledger: ...

    def close(self) -> None: ...


class SqliteHome:
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()

    async def open(self, clock: Clock) -> Ledger:
        return await open_ledger(f"sqlite:///{self._folder.name}/ledger.db", clock)

    def close(self) -> None:
        self._folder.cleanup()


class DynamoHome:
    def __init__(self, emulator: Emulator) -> None:
        self._table = Table(emulator.url)

    async def open(self, clock: Clock) -> Ledger:
        return self._table.ledger(clock)

    def close(self) -> None:
        self._table.drop()


class PostgresHome:
    def __init__(self, server: Server) -> None:
        self._database = Database(server)

    async def open(self, clock: Clock) -> Ledger:
        return await self._database.ledger(clock)

    def close(self) -> None:
        self._database.drop()
