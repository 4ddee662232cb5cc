"""An empty database for what is deployed in a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres.databases import Database
from tests.postgres.server import Server


@pytest.fixture
def database(postgres: Server) -> Iterator[Database]:
    with Database(postgres) as database:
        yield database


@pytest.fixture
def database_url(database: Database) -> str:
    """As Heroku writes it."""
    return database.url.replace("postgresql://", "postgres://")
