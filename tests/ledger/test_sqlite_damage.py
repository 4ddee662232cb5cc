"""The SQLite ledger's files are cut or written over in place, by somebody else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, LedgerGone, LedgerUnfit
from unlost.ledger.sqlite.connection import writer
from unlost.task import Submission


def submission(task_id: str, payload: str = "{}") -> Submission:
    return Submission(task_id, payload, b"d" * 32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


async def opened(file: Path, in_log: int) -> Ledger:
    """A ledger with a task in the database, and so many in the log."""
    first = await open_ledger(f"sqlite:///{file}")
    await first.submit([submission("kept")])
    await first.close()
    ledger = await open_ledger(f"sqlite:///{file}")
    for number in range(in_log):
        await ledger.submit([submission(f"in the log {number}")])
    return ledger


def log_of(file: Path) -> Path:
    return Path(f"{file}-wal")


def to_nothing(log: Path) -> None:
    """As `: > unlost.db-wal` does."""
    log.write_bytes(b"")


def to_its_header(log: Path) -> None:
    os.truncate(log, 32)


def to_half(log: Path) -> None:
    os.truncate(log, log.stat().st_size // 2 // 4096 * 4096)


def to_zeros(log: Path) -> None:
    """Cut, and as long as it was."""
    size = log.stat().st_size
    os.truncate(log, 0)
    os.truncate(log, size)


CUTS = [to_nothing, to_its_header, to_half, to_zeros]


@pytest.mark.parametrize("in_log", [1, 60])
@pytest.mark.parametrize("cut", CUTS)
async def test_nothing_is_acknowledged_into_a_log_that_was_cut(
    file: Path, cut: Callable[[Path], None], in_log: int
) -> None:
    ledger = await opened(file, in_log)
    cut(log_of(file))
    for _ in range(2):
        with pytest.raises(LedgerGone, match="log was cut") as refused:
            await ledger.submit([submission("after")])
        assert str(file.parent) not in str(refused.value)
    with pytest.raises(LedgerGone):
        await ledger.ping()
    await ledger.close()
    again = await open_ledger(f"sqlite:///{file}")
    assert await again.get("kept") is not None
    await again.submit([submission("later")])
    await again.close()
    with apsw.Connection(str(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


@pytest.mark.parametrize("cut", CUTS)
async def test_a_log_that_was_cut_does_not_come_into_the_database(
    file: Path, cut: Callable[[Path], None]
) -> None:
    """Also where nothing is committed before the end."""
    ledger = await opened(file, 60)
    cut(log_of(file))
    await ledger.close()
    again = await open_ledger(f"sqlite:///{file}")
    assert await again.get("kept") is not None
    await again.close()
    with apsw.Connection(str(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


async def test_who_does_not_write_finds_the_hole_that_another_process_has_left(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "LOOK", 0.02)
    ledger = await opened(file, 60)
    to_zeros(log_of(file))
    async with asyncio.timeout(10):
        while not caplog.records:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await ledger.close()
    assert [record.message for record in caplog.records] == ["ledger.unavailable"]
    assert "log was cut" in caplog.records[0].__dict__["why"]


async def test_a_log_that_others_have_emptied_in_order_is_none_that_was_cut(file: Path) -> None:
    ledger = await opened(file, 60)
    stranger = apsw.Connection(str(file))
    stranger.execute("SELECT count(*) FROM task").fetchall()
    stranger.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert log_of(file).stat().st_size == 0
    await ledger.submit([submission("a")])
    other = await open_ledger(f"sqlite:///{file}")
    await other.submit([submission(f"b{number}") for number in range(500)])
    stranger.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    await other.submit([submission("c")])
    await ledger.submit([submission("d")])
    await other.close()
    await ledger.submit([submission("e")])
    await ledger.close()
    stranger.close()


WRITE_OVER = """
import os, sys
with open(sys.argv[1], "r+b") as file:
    for page in map(int, sys.argv[2:]):
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
"""


async def test_what_is_damaged_takes_nothing_more_once_a_read_has_found_it(file: Path) -> None:
    first = await open_ledger(f"sqlite:///{file}")
    await first.submit([submission("before", '"' + "x" * 100 + '"')])
    await first.close()
    with apsw.Connection(str(file)) as db:
        [(page,)] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'payload'")
    db.close()
    ledger = await open_ledger(f"sqlite:///{file}")
    # By another process: to close the file would cost this one its locks.
    subprocess.run([sys.executable, "-c", WRITE_OVER, str(file), str(page)], check=True)
    await ledger.ping()
    with pytest.raises(LedgerUnfit, match="restore a backup"):
        await ledger.get("before")
    for step in (ledger.ping(), ledger.submit([submission("after")])):
        with pytest.raises(LedgerGone, match="is damaged: stop the service"):
            await step
    await ledger.close()
