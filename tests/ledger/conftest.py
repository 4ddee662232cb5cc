"""What several test modules of ledgers need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.aws.emulator import Emulator
from tests.ledger.faulty import Interfered
from tests.ledger.tables import Table


@pytest.fixture
def table(emulator: Emulator) -> Iterator[Table]:
    """A new table in the emulator."""
    with Table(emulator.url) as table:
        yield table


@pytest.fixture(scope="session")
def interfered(emulator: Emulator) -> Iterator[Interfered]:
    client = Interfered(emulator.url)
    yield client
    client.close()
