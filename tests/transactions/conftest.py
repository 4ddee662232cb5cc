"""A database for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres.databases import Database
from tests.postgres.server import Server


@pytest.fixture
def database(postgres: Server) -> Iterator[Database]:
    """An empty ledger's database."""
    with Database(postgres) as database:
        yield database
