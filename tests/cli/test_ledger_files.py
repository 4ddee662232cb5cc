"""Commands on a ledger's file: what they make beside it, and what they say of one that is gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.conftest import Command
from tests.cli.ledgers import furnish
from unlost.audit import audit
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger

URL = "sqlite:///unlost.db"


@pytest.fixture
def restored(unlost: Command) -> Path:
    """A ledger as a backup has it: the file alone."""
    asyncio.run(furnish(f"sqlite:///{unlost.folder}/unlost.db"))
    path = unlost.folder / "unlost.db"
    Path(f"{path}-lock").unlink()
    assert list(unlost.folder.iterdir()) == [path]
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["audit", "--ledger", URL],
        ["export", "--ledger", URL],
        ["types", "--ledger", URL],
        ["workers", "--ledger", URL],
        ["doctor", "--port", "0"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_reads_makes_nothing(
    unlost: Command, restored: Path, words: list[str]
) -> None:
    content = restored.read_bytes()
    result = unlost(*words)
    assert result.status == 0, result.err
    assert list(unlost.folder.iterdir()) == [restored]
    assert restored.read_bytes() == content


def test_a_command_that_writes_makes_the_lock_as_the_database_is(
    unlost: Command, restored: Path
) -> None:
    restored.chmod(0o640)
    assert unlost("purge", "--older-than", "0", "--yes", "--ledger", URL).status == 0
    lock = Path(f"{restored}-lock")
    assert lock.stat().st_mode == restored.stat().st_mode


def as_a_failed_copy(path: Path) -> None:
    path.touch()


def as_a_start_cut_short(path: Path) -> None:
    """SQLite has written its first page, and no tables have come yet."""
    with closing(apsw.Connection(str(path))) as db:
        db.pragma("journal_mode", "wal")


@pytest.mark.parametrize("make", [as_a_failed_copy, as_a_start_cut_short])
@pytest.mark.parametrize(
    "words",
    [
        ["audit"],
        ["export"],
        ["tasks"],
        ["dead", "redrive", "--all"],
        ["pause", "report"],
        ["purge", "--older-than", "0", "--yes"],
        ["key", "list"],
    ],
    ids=lambda words: words[0],
)
def test_a_file_in_which_nothing_is_yet_is_no_ledger(
    unlost: Command, make: Callable[[Path], None], words: list[str]
) -> None:
    path = unlost.folder / "unlost.db"
    make(path)
    content = path.read_bytes()
    result = unlost(*words, "--ledger", URL)
    assert (result.status, result.out) == (1, "")
    assert f"{path} is empty; name another one with --ledger" in result.complaint
    assert list(unlost.folder.iterdir()) == [path]
    assert path.read_bytes() == content


@pytest.mark.parametrize("make", [as_a_failed_copy, as_a_start_cut_short])
def test_doctor_takes_a_file_in_which_nothing_is_yet_for_none(
    unlost: Command, make: Callable[[Path], None]
) -> None:
    path = unlost.folder / "unlost.db"
    make(path)
    told = json.loads(unlost("doctor", "--json", "--port", "0").out)
    (ledger,) = [one for one in told["checks"] if one["check"] == "ledger"]
    assert ledger["health"] == "note"
    assert "there is none at sqlite:///unlost.db yet" in ledger["detail"]
    assert list(unlost.folder.iterdir()) == [path]


def test_doctor_tells_that_it_only_read(unlost: Command, restored: Path) -> None:
    told = json.loads(unlost("doctor", "--json", "--port", "0").out)
    (detail,) = [one["detail"] for one in told["checks"] if one["check"] == "ledger"]
    assert detail.endswith("and was only read: no service has used it here yet")


def test_doctor_fails_where_there_is_a_log_alone(unlost: Command) -> None:
    (unlost.folder / "unlost.db-wal").write_bytes(b"what was committed last")
    result = unlost("doctor", "--json", "--port", "0")
    assert result.status == 1
    (ledger,) = [one for one in json.loads(result.out)["checks"] if one["check"] == "ledger"]
    assert ledger["health"] == "fail"
    assert "unlost.db is gone, but its log" in ledger["detail"]


def test_a_command_that_reads_leaves_a_log_alone_as_it_is(unlost: Command, restored: Path) -> None:
    """Over an empty database SQLite would remove it, with all that was committed last."""
    restored.write_bytes(b"")
    log = unlost.folder / "unlost.db-wal"
    log.write_bytes(b"what was committed last")
    result = unlost("audit", "--ledger", URL)
    assert (result.status, result.out) == (1, "")
    assert "unlost.db is gone, but its log" in result.complaint
    assert log.read_bytes() == b"what was committed last"
    assert sorted(unlost.folder.iterdir()) == [restored, log]


def test_an_audit_of_a_file_that_goes_meanwhile_fails(
    unlost: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = unlost.folder / "unlost.db"
    asyncio.run(furnish(f"sqlite:///{path}"))

    async def meanwhile(ledger: Ledger, *rest: Any) -> Any:
        found = await audit(ledger, *rest)
        path.rename(path.with_name("away"))
        return found

    monkeypatch.setattr("unlost.audit.audit", meanwhile)
    result = unlost("audit", "--ledger", URL)
    assert result.status == 1
    assert "the ledger's file was removed or replaced while it was in use" in result.complaint
    assert "promise" not in result.out


def test_an_import_into_a_file_that_goes_meanwhile_fails_in_one_line(
    unlost: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(furnish(f"sqlite:///{unlost.folder}/source.db"))
    out = ["--out", "all.ndjson"]
    assert unlost("export", "--ledger", "sqlite:///source.db", *out).status == 0
    path = unlost.folder / "unlost.db"

    async def gone(*given: Any, **options: Any) -> Ledger:
        ledger = await open_ledger(*given, **options)
        path.unlink()
        return ledger

    monkeypatch.setattr("unlost.ledger.opening.open_ledger", gone)
    result = unlost("import", "all.ndjson", "--ledger", URL)
    assert result.status == 1
    assert "the ledger's file was removed or replaced while it was in use" in result.complaint
