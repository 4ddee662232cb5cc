"""A list of what was cancelled on SQLite goes by acts only where these are few."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.stage import Clock, Stage
from unlost.ledger.protocol import Ledger
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.tasks import listing
from unlost.ledger.values import Query
from unlost.task import State


@pytest.mark.parametrize("walk", [1, 3, 4])
async def test_all_are_listed_however_many_acts_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, walk: int
) -> None:
    monkeypatch.setattr(listing, "WALK", walk)
    clock = Clock()

    async def opener() -> Ledger:
        raise NotImplementedError

    ledger = SqliteLedger(tmp_path / "ledger.db", clock)
    stage = Stage(ledger, clock, opener)
    names = [f"t{number}" for number in range(8)]
    await stage.submit(*names)
    for name in names[::2]:
        await ledger.cancel(name, None, None)
    assert await stage.walk(Query(state=State.CANCELLED)) == names[::2][::-1]
    await ledger.close()
