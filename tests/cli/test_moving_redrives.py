"""Redrives go along with an export, and go on in the ledger that they were moved to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.ledgers import opened
from tests.conformance.stage import Clock, Stage
from unlost.ledger.opening import open_ledger
from unlost.ledger.values import RedriveCopy
from unlost.redrive import Named, Redrive, RedriveState

ONE = Redrive("one", canary=2, tolerate=None, by="ann", reason="é")


async def begin(url: str) -> None:
    """One that has three letters to take, with two under way; and one that is done."""
    clock = Clock()
    async with opened(url, clock) as ledger:
        stage = Stage(ledger, clock, lambda: open_ledger(url, clock))
        await stage.submit("before")
        for task_id in ("a", "b", "c", "d", "e"):
            clock.advance(1)
            await stage.bury(task_id)
        await ledger.add_redrive(ONE, Named())
        await ledger.add_redrive(Redrive("two", named=True), Named(("nobody",), '{"n": 1.0}'))
        for name in ("one", "one", "two"):
            await ledger.step_redrive(name)


async def kept(url: str) -> list[RedriveCopy]:
    async with opened(url) as ledger:
        return await ledger.copy_redrives("", 10)


async def go_on(url: str, clock: Clock) -> Redrive:
    """Let all that is due succeed, and the redrive go on, until it is done."""
    async with opened(url, clock) as ledger:
        stage = Stage(ledger, clock, lambda: open_ledger(url, clock))
        redrive = ONE
        for _ in range(20):
            for attempt in await stage.claim(10):
                await stage.succeed(attempt)
            redrive = await ledger.step_redrive("one")
        assert (await stage.record("a")).redrive_count == 1
        return redrive


@pytest.fixture
def exported(unlost: Command, tmp_path: Path) -> Path:
    asyncio.run(begin(f"sqlite:///{tmp_path}/source.db"))
    file = tmp_path / "all.ndjson"
    assert unlost("export", "--ledger", "sqlite:///source.db", "--out", str(file)).status == 0
    return file


def test_they_come_over_and_go_on(unlost: Command, exported: Path, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path}/target.db"
    for _ in range(2):
        result = unlost("import", str(exported), "--ledger", "sqlite:///target.db")
        assert (result.status, result.err) == (0, "")
    source, [one, two] = (
        asyncio.run(kept(f"sqlite:///{tmp_path}/source.db")),
        asyncio.run(kept(target)),
    )
    assert [copy.under_way for copy in source] == [one.under_way, two.under_way]
    assert one.under_way == (("a", 1), ("b", 1))
    assert (one.redrive.redriven, one.redrive.left, one.redrive.reason) == (2, 3, "é")
    assert two.named == Named(("nobody",), '{"n": 1.0}')
    assert two.redrive.state is RedriveState.DONE
    done = asyncio.run(go_on(target, Clock(Clock().now + 10**9)))
    assert (done.state, done.redriven, done.succeeded) == (RedriveState.DONE, 5, 5)
    assert unlost("audit", "--ledger", "sqlite:///target.db").status == 0


def test_redrives_that_were_altered_are_refused(
    unlost: Command, exported: Path, tmp_path: Path
) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    [where] = [at for at, line in enumerate(lines) if b'"id":"one"' in line]
    altered = lines[where].replace(b'"redriven":2', b'"redriven":3')
    assert altered != lines[where]
    (tmp_path / "bad.ndjson").write_bytes(b"".join([*lines[:where], altered, *lines[where + 1 :]]))
    result = unlost("import", "bad.ndjson", "--ledger", "sqlite:///target.db")
    assert result.status == 1
    assert "its redrives are not those that its last line says" in result.err


def test_an_export_that_broke_off_within_them_goes_on(
    unlost: Command, exported: Path, tmp_path: Path
) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    (tmp_path / "again.ndjson.part").write_bytes(b"".join(lines[:-2]))
    words = ("export", "--ledger", "sqlite:///source.db", "--out", "again.ndjson")
    assert unlost(*words).status == 0
    assert (tmp_path / "again.ndjson").read_bytes() == exported.read_bytes()


def test_the_payload_of_one_is_masked_where_payloads_are(
    unlost: Command, exported: Path, tmp_path: Path
) -> None:
    words = ("export", "--ledger", "sqlite:///source.db", "--redact", "/n", "--out", "masked")
    assert unlost(*words).status == 0
    lines = (tmp_path / "masked").read_text().splitlines()
    [two] = [json.loads(line) for line in lines if '"id":"two"' in line]
    assert two["redrive"]["named"]["payload"] == '{"n":"•••"}'
