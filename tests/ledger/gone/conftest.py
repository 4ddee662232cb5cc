"""A SQLite ledger in a folder of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ledger.gone.files import submission
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the ledger is, in a folder of its own."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "ledger.db"


@pytest.fixture
async def ledger(file: Path) -> AsyncIterator[Ledger]:
    opened = await open_ledger(f"sqlite:///{file}")
    await opened.submit([submission("before")])
    yield opened
    await opened.close()
