"""What is set for types goes along with an export; how breakers stand does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.cli.conftest import Command
from tests.cli.ledgers import idle, opened
from tests.conformance.stage import Clock, Stage
from unlost.ledger.opening import open_ledger
from unlost.limits.breaker import Breaker, Circuit
from unlost.limits.control import Change, Control

BREAKER = Breaker(0.25, 90_500_000, 1, 500_000, 3)


async def steer(url: str) -> None:
    """A ledger with all that can be set, and a circuit that is open."""
    clock = Clock()
    async with opened(url, clock) as ledger:
        stage = Stage(ledger, clock, lambda: open_ledger(url, clock))
        await ledger.change("é/mail", Change(limit=3, key_limit=1, breaker=BREAKER))
        await stage.submit("t", type="é/mail", key="ann")
        await stage.retry(await stage.run("t"), wait=1e9)
        await ledger.pause("sms", "ann", "no\nmoney")
        await ledger.pause("bare", None, None)
        await ledger.change("fast", Change(rate=2.5, key_rate=0.001, pull=True))


async def controls(url: str) -> list[Control]:
    async with opened(url) as ledger:
        return await ledger.controls()


def lasting(found: list[Control]) -> list[Control]:
    """Without what is anew in another ledger."""
    return [
        replace(one, circuit=Circuit(), pause=one.pause and replace(one.pause, at=0))
        for one in found
    ]


@pytest.fixture
def exported(unlost: Command, tmp_path: Path) -> Path:
    asyncio.run(idle(f"sqlite:///{tmp_path}/source.db"))
    asyncio.run(steer(f"sqlite:///{tmp_path}/source.db"))
    file = tmp_path / "all.ndjson"
    assert unlost("export", "--ledger", "sqlite:///source.db", "--out", str(file)).status == 0
    return file


def test_what_is_set_comes_over_and_breakers_begin_closed(
    unlost: Command, exported: Path, tmp_path: Path
) -> None:
    before = asyncio.run(controls(f"sqlite:///{tmp_path}/source.db"))
    result = unlost("import", str(exported), "--ledger", "sqlite:///target.db")
    assert (result.status, result.err) == (0, "")
    after = asyncio.run(controls(f"sqlite:///{tmp_path}/target.db"))
    assert lasting(after) == lasting(before)
    assert [one.type for one in before if one.circuit != Circuit()] == ["é/mail"]
    assert [one.type for one in after if one.circuit != Circuit()] == []
    assert unlost("import", str(exported), "--ledger", "sqlite:///target.db").status == 0
    assert asyncio.run(controls(f"sqlite:///{tmp_path}/target.db")) == after


def test_an_export_that_broke_off_within_its_settings_goes_on(
    unlost: Command, exported: Path, tmp_path: Path
) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    (tmp_path / "again.ndjson.part").write_bytes(b"".join(lines[:-2]))
    words = ("export", "--ledger", "sqlite:///source.db", "--out", "again.ndjson")
    assert unlost(*words).status == 0
    assert (tmp_path / "again.ndjson").read_bytes() == exported.read_bytes()


@pytest.mark.parametrize("spoil", ["limit", "left out", "in between"])
def test_settings_that_were_altered_are_refused_and_nothing_is_set(
    unlost: Command, exported: Path, tmp_path: Path, spoil: str
) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    if spoil == "limit":
        lines = [line.replace(b'"limit":3', b'"limit":4') for line in lines]
    elif spoil == "left out":
        del lines[-2]
    else:
        lines.insert(1, lines.pop(-2))
    exported.write_bytes(b"".join(lines))
    result = unlost("import", str(exported), "--ledger", "sqlite:///target.db")
    assert result.status == 1
    assert "nothing was imported" in result.complaint
    assert not (tmp_path / "target.db").exists()
