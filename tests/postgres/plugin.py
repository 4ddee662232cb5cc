"""The fixture `postgres`, for every test that needs a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres.server import Server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server on 127.0.0.1, started once for each test process."""
    with Server() as server:
        yield server
