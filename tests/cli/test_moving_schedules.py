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
from unlost.ledger.opening import open_ledger
from unlost.schedule.schedule import Schedule


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


def test_one_whose_last_task_came_after_the_export_began_is_kept_without_it(
    unlost: Command, exported: Path, tmp_path: Path
) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    head, *rest, tail = lines
    without = json.loads(tail) | {"tasks": 0, "digest": "0" * 64}
    kept_ = [one for one in rest if one.startswith(b'{"schedule"')]
    text = json.dumps(without, separators=(",", ":")).encode() + b"\n"
    (tmp_path / "early.ndjson").write_bytes(b"".join([head, *kept_, text]))
    assert unlost("import", "early.ndjson", "--ledger", "sqlite:///target.db").status == 0
    one, _ = asyncio.run(kept(f"sqlite:///{tmp_path}/target.db"))
    assert (one.last_task, one.made) == (None, 1)


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
