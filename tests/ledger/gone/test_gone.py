"""The SQLite ledger's files are removed or replaced while it is in use."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from tests.conformance.stage import must_add_up
from tests.ledger.gone.files import (
    HOLDER,
    LEAVER,
    Act,
    beside,
    move_all,
    remove,
    replace,
    submission,
    until,
)
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, LedgerGone, LedgerUnfit
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.connection import writer
from unlost.ledger.sqlite.files import identity
from unlost.ledger.values import Claim, Worker
from unlost.policy import Limits
from unlost.task import SECOND, State


def move_folder(file: Path) -> None:
    file.parent.rename(file.parent.parent / "elsewhere")


def replace_folder(file: Path) -> None:
    move_folder(file)
    shutil.copytree(file.parent.parent / "elsewhere", file.parent)


ACTS = [
    pytest.param(remove(""), id="the database is removed"),
    pytest.param(remove("-wal"), id="the log is removed"),
    pytest.param(remove("-shm"), id="the log's index is removed"),
    pytest.param(remove("-lock"), id="the lock is removed"),
    pytest.param(remove("", "-wal", "-shm", "-lock"), id="all is removed"),
    pytest.param(move_all, id="all is moved"),
    pytest.param(replace(""), id="the database is replaced"),
    pytest.param(replace("-wal"), id="the log is replaced"),
    pytest.param(replace("-shm"), id="the log's index is replaced"),
    pytest.param(replace("-lock"), id="the lock is replaced"),
    pytest.param(move_folder, id="the folder is moved"),
    pytest.param(replace_folder, id="the folder is replaced"),
]


@pytest.mark.parametrize("act", ACTS)
async def test_what_would_be_written_into_files_that_are_gone_is_refused(
    ledger: Ledger, file: Path, act: Act
) -> None:
    act(file)
    for _ in range(2):
        with pytest.raises(LedgerGone, match="removed or replaced") as refused:
            await ledger.submit([submission("after")])
        assert str(file.parent) not in str(refused.value)
    with pytest.raises(LedgerGone):
        await ledger.ping()
    assert await ledger.get("before") is not None  # reads go on: somebody may save what is there


@pytest.mark.parametrize("act", ACTS)
async def test_a_ledger_that_does_nothing_finds_out_and_says_so_once(
    file: Path, act: Act, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert writer.LOOK <= 1.0
    monkeypatch.setattr(writer, "LOOK", 0.02)
    ledger = await open_ledger(f"sqlite:///{file}")
    act(file)
    await asyncio.to_thread(until, lambda: bool(caplog.records))
    await asyncio.sleep(0.1)
    await ledger.close()
    assert [record.message for record in caplog.records] == ["ledger.unavailable"]
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert str(file.parent) in record.__dict__["why"]


async def test_files_that_come_back_change_nothing(ledger: Ledger, file: Path) -> None:
    move_all(file)
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("after")])
    bring_all_back(file)
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("after")])
    await ledger.close()
    again = await open_ledger(f"sqlite:///{file}")
    assert await again.get("before") is not None
    await again.submit([submission("later")])
    await again.close()


def nothing(file: Path) -> None:
    """The log alone was removed, and is brought into the database."""


def bring_all_back(file: Path) -> None:
    for end in ("", "-wal", "-shm", "-lock"):
        beside(file.parent.parent / file.name, end).rename(beside(file, end))


@pytest.mark.parametrize(("act", "undo"), [(remove("-wal"), nothing), (move_all, bring_all_back)])
async def test_a_claim_that_nobody_hears_of_costs_nothing_after_the_restart(
    ledger: Ledger, file: Path, act: Act, undo: Act
) -> None:
    await ledger.submit([submission(f"t{number}") for number in range(3)])
    await ledger.enlist(Worker("w"), 60 * SECOND)
    act(file)
    with pytest.raises(LedgerGone):
        await ledger.claim(Claim("w", ["a", "b"], None, Limits(2, 60.0)))
    with pytest.raises(LedgerGone):
        await ledger.claim(Claim("w", ["c", "d"], None, Limits(2, 60.0)))
    await ledger.close()
    undo(file)
    again = await open_ledger(f"sqlite:///{file}")
    for task_id in ("before", "t0", "t1", "t2"):
        record = await again.get(task_id)
        assert record is not None
        assert (record.state, record.attempt_count) == (State.QUEUED, 0)
    await must_add_up(again)
    await again.close()


async def test_what_one_process_finds_holds_for_all(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LOOK", 0.02)
    url = f"sqlite:///{file}"
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, url, stdin=pipe, stdout=pipe
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"open\n"
    ledger = await open_ledger(url)
    file.rename(file.parent / "away")
    with pytest.raises(LedgerGone):
        await ledger.ping()
    (file.parent / "away").rename(file)
    with pytest.raises(LedgerUnfit, match="end it before another is started"):
        await open_ledger(url)
    answer, _ = await other.communicate(b"\n")
    assert answer == b"LedgerGone\n"
    await ledger.close()
    later = await open_ledger(url)
    await later.ping()
    await later.close()


async def test_a_log_that_is_gone_is_brought_into_the_database(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    beside(file, "-wal").unlink()
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("after")])
    assert isinstance(ledger, SqliteLedger)
    await asyncio.to_thread(until, lambda: ledger._writer.gave_up)
    shutil.copy(file, tmp_path / "copy.db")  # as the file is after a kill
    copy = await open_ledger(f"sqlite:///{tmp_path}/copy.db")
    assert await copy.get("before") is not None
    await copy.close()


async def test_its_end_leaves_the_files_alone_that_are_there_now(file: Path) -> None:
    ledger = await open_ledger(f"sqlite:///{file}")
    await ledger.submit([submission("before")])
    remove("", "-wal", "-shm", "-lock")(file)
    new = await open_ledger(f"sqlite:///{file}")
    await new.submit([submission("new")])
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("after")])
    await ledger.close()
    await new.submit([submission("newer")])
    await new.close()


async def test_its_end_leaves_the_log_alone_that_another_process_has_left(file: Path) -> None:
    url = f"sqlite:///{file}"
    ledger = await open_ledger(url)
    remove("", "-wal", "-shm", "-lock")(file)
    with pytest.raises(LedgerGone):
        await ledger.ping()
    left = await asyncio.create_subprocess_exec(sys.executable, "-c", LEAVER, url)
    assert await left.wait() == 0
    await ledger.close()
    again = await open_ledger(url)
    assert await again.get("left") is not None
    await again.close()


async def test_without_a_listing_of_descriptors_the_files_are_known_all_the_same(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a chroot in which `/proc` is not mounted."""
    monkeypatch.setattr(identity, "LISTING", tmp_path / "none")
    ledger = await open_ledger(f"sqlite:///{file}")
    await ledger.submit([submission("a")])
    file.unlink()
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("b")])
    await ledger.close()
