"""Bulk redrives that fail: the next call redrives fewer in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.stage import Clock
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres.dead_letters import redriving as on_postgres
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.sqlite.dead_letters import redriving as on_sqlite
from unlost.ledger.values import Selection


class Refusing:
    """Redrives nothing, and fails as a disk or a connection does while there are `faults`."""

    def __init__(self) -> None:
        self.limits: list[int] = []
        self.faults = 3

    def step(self, *_: Any, selection: Selection, who: Any) -> tuple[int, bool]:
        self.limits.append(selection.limit)
        if self.faults > 0:
            self.faults -= 1
            raise OSError("simulated")
        return selection.limit, True

    async def in_pipeline(self, *_: Any, selection: Selection, who: Any) -> tuple[int, bool]:
        try:
            return self.step(selection=selection, who=who)
        except OSError as fault:
            raise LedgerUnavailable(str(fault)) from fault


@pytest.fixture(params=["sqlite", "postgres"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[Ledger]:
    if request.param == "sqlite":
        ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db", clock)
        yield ledger
        await ledger.close()
        return
    server: Server = request.getfixturevalue("postgres")
    with Database(server) as database:
        ledger = await database.ledger(clock)
        yield ledger
        await ledger.close()


async def test_a_bulk_redrive_that_failed_goes_on_with_half_as_many(
    place: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Refusing()
    monkeypatch.setattr(on_sqlite, "redrive_many", refusing.step)
    monkeypatch.setattr(on_postgres, "redrive_many", refusing.in_pipeline)
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            await place.redrive_many(Selection(limit=1_000), None, None)
    assert await place.redrive_many(Selection(limit=1_000), None, None) == (1_000, True)
    assert refusing.limits == [500, 250, 125, 62, 124, 248, 496, 70]
