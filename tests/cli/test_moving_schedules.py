"""Schedules go along with an export, and are paused in the ledger that they were moved to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.cli.conftest import Command
from tests.cli.ledgers import opened
from tests.conformance import scheduling
from tests.conformance.stage import Clock, Stage
from unlost.cli.ledgers import export
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, exact_counts
from unlost.ledger.values import Counts
from unlost.schedule import deciding
from unlost.schedule.schedule import Moved, Schedule, Tick


async def begin(url: str) -> None:
    """One that has made a task, and one that is paused."""
    clock = Clock()
    async with opened(url, clock) as ledger:
        stage = Stage(ledger, clock, lambda: open_ledger(url, clock))
        await scheduling.made(stage, "one", payload='{"n": 1.0, "ü": "\\u0000"}', set_by="ann")
        await scheduling.made(stage, "two", paused=True)
        clock.advance(10)
        await scheduling.tick(stage, "one")


async def kept(url: str) -> list[Schedule]:
    async with opened(url) as ledger:
        return await ledger.schedules("", 10)


async def ticks(url: str) -> list[Tick]:
    async with opened(url) as ledger:
        return await ledger.ticks("one", 10)


@pytest.fixture
def exported(unlost: Command, tmp_path: Path) -> Path:
    asyncio.run(begin(f"sqlite:///{tmp_path}/source.db"))
    file = tmp_path / "all.ndjson"
    assert unlost("export", "--ledger", "sqlite:///source.db", "--out", str(file)).status == 0
    return file


def test_they_come_over_paused(unlost: Command, exported: Path, tmp_path: Path) -> None:
    for _ in range(2):
        result = unlost("import", str(exported), "--ledger", "sqlite:///target.db")
        assert (result.status, result.err) == (0, "")
    source = asyncio.run(kept(f"sqlite:///{tmp_path}/source.db"))
    target = asyncio.run(kept(f"sqlite:///{tmp_path}/target.db"))
    assert [one.due for one in source] == [1, 0]
    assert target == [replace(one, paused=True, next=None) for one in source]
    assert unlost("audit", "--ledger", "sqlite:///target.db").status == 0


def test_an_import_names_those_that_make_no_more_tasks(unlost: Command, exported: Path) -> None:
    """Also where they were there from an import before, as long as they are paused."""
    words = ("import", str(exported), "--ledger", "sqlite:///target.db")
    told = (
        "1 schedule came paused: one; once a service runs here alone, `unlost schedule resume ID`"
    )
    for _ in range(2):
        assert told in unlost(*words).out
    result = unlost(*words, "--json")
    assert json.loads(result.out)["paused"] == ["one"]


def test_their_newest_ticks_come_along(unlost: Command, exported: Path, tmp_path: Path) -> None:
    assert unlost("import", str(exported), "--ledger", "sqlite:///target.db").status == 0
    source, target = (
        asyncio.run(ticks(f"sqlite:///{tmp_path}/{name}.db")) for name in ("source", "target")
    )
    assert len(source) == 1
    assert target == source


@pytest.mark.parametrize("early", [True, False])
def test_what_one_makes_while_it_is_exported_is_counted_only_with_its_task(
    unlost: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    """A tick just before, or just after, it is found how far the export goes."""
    asyncio.run(begin(f"sqlite:///{tmp_path}/source.db"))
    counted = exact_counts

    async def ticking(ledger: Ledger) -> Counts:
        before = await counted(ledger)
        clock = Clock()
        clock.advance(20)
        [due] = (await ledger.due_schedules(10)).schedules
        moves = deciding.decide(due, scheduling.TEN, clock.now, scheduling.TZDATA)
        assert await ledger.move_schedules(moves) == [Moved.DONE]
        return await counted(ledger) if early else before

    monkeypatch.setattr(export, "exact_counts", ticking)
    assert unlost("export", "--ledger", "sqlite:///source.db", "--out", "live").status == 0
    assert unlost("import", "live", "--ledger", "sqlite:///target.db").status == 0
    audited = unlost("audit", "--ledger", "sqlite:///target.db")
    assert audited.status == 0, audited.out


def test_schedules_that_were_altered_are_refused(
    unlost: Command, exported: Path, tmp_path: Path
) -> None:
    altered = exported.read_bytes().replace(b'"every":10', b'"every":11')
    (tmp_path / "bad.ndjson").write_bytes(altered)
    result = unlost("import", "bad.ndjson", "--ledger", "sqlite:///target.db")
    assert result.status == 1
    assert "its schedules are not those that its last line says" in result.err


def test_the_payload_of_one_is_masked_where_payloads_are(
    unlost: Command, exported: Path, tmp_path: Path
) -> None:
    words = ("export", "--ledger", "sqlite:///source.db", "--redact", "/n", "--out", "masked")
    assert unlost(*words).status == 0
    lines = (tmp_path / "masked").read_text().splitlines()
    [one] = [json.loads(line) for line in lines if line.startswith('{"schedule":{"id":"one"')]
    assert json.loads(one["schedule"]["plan"]["payload"])["n"] == "•••"
