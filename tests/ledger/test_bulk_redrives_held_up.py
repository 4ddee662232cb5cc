"""Steps of redrives, and parked tasks brought back, that fail: the next takes fewer at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.stage import Clock
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres.controls import pacing as pacing_on_postgres
from unlost.ledger.postgres.dead_letters import stepping as on_postgres
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.sqlite.controls import pacing as pacing_on_sqlite
from unlost.ledger.sqlite.dead_letters import stepping as on_sqlite
from unlost.limits.control import Change
from unlost.redrive import Redrive


class Refusing:
    """Does nothing, and fails as a disk or a connection does while there are `faults`."""

    def __init__(self) -> None:
        self.limits: list[int] = []
        self.faults = 3

    def _try(self, limit: int) -> int:
        self.limits.append(limit)
        if self.faults > 0:
            self.faults -= 1
            raise OSError("simulated")
        return limit

    def step(self, *_: Any, redrive_id: str, most: int, **_more: Any) -> Redrive:
        self._try(most)
        return Redrive(redrive_id)

    async def step_in_pipeline(self, *_: Any, redrive_id: str, most: int) -> Redrive:
        try:
            return self.step(redrive_id=redrive_id, most=most)
        except OSError as fault:
            raise LedgerUnavailable(str(fault)) from fault

    def bring_back(self, *_: Any, task_type: str, limit: int) -> int:
        self._try(limit)
        return 1 if len(self.limits) < 6 else 0

    async def bring_back_in_pipeline(self, *_: Any, task_type: str, limit: int) -> int:
        try:
            return self.bring_back(task_type=task_type, limit=limit)
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


async def test_a_step_of_a_redrive_that_failed_goes_on_with_half_as_many(
    place: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Refusing()
    monkeypatch.setattr(on_sqlite, "step", refusing.step)
    monkeypatch.setattr(on_postgres, "step", refusing.step_in_pipeline)
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            await place.step_redrive("r")
    for _ in range(4):
        await place.step_redrive("r")
    first = refusing.limits[0]
    assert first in (300, 500)
    assert refusing.limits == [
        first, first // 2, first // 4, first // 8,
        first // 8 * 2, first // 8 * 4, first // 8 * 8,
    ]  # fmt: skip


async def test_bringing_back_that_failed_goes_on_with_half_as_many(
    place: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Refusing()
    monkeypatch.setattr(pacing_on_sqlite, "bring_all_back", refusing.bring_back)
    monkeypatch.setattr(pacing_on_postgres, "bring_all_back", refusing.bring_back_in_pipeline)
    for limit in (1, 2, 3):
        with pytest.raises(LedgerUnavailable):
            await place.change("mail", Change(key_limit=limit))
    await place.change("mail", Change(key_limit=4))
    assert refusing.limits == [5_000, 2_500, 1_250, 625, 1_250, 2_500]
