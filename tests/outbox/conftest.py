"""An outbox in each kind of database, in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outbox.places import Place, Service, in_postgres, in_sqlite
from tests.postgres.databases import Database


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        with in_sqlite(tmp_path) as place:
            yield place
        return
    with (
        Database(request.getfixturevalue("postgres")) as database,
        in_postgres(database.url) as place,
    ):
        yield place


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()
