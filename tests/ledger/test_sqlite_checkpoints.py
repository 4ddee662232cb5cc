"""The log is brought into the database by one process at a time, and by none for another again."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from time import monotonic
from unittest.mock import patch

import apsw
import pytest

from unlost.ledger.opening import wall_clock
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.connection import writer
from unlost.task import Submission

LONG = 30.0


async def submit(ledger: SqliteLedger, name: str, size: int = 1) -> None:
    [_] = await ledger.submit([Submission(name, f'"{"x" * size}"', b"x" * 32)])


def log(database: Path) -> tuple[int, int]:
    """How many pages the log has, and how many of them are in the database."""
    db = apsw.Connection(str(database))
    db.pragma("user_version")  # it knows the log only then
    pages, done = db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    db.close()
    return pages, done


async def test_who_waited_while_another_did_it_does_not_do_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "ledger.db"
    late, quick = (SqliteLedger(database, wall_clock) for _ in range(2))
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 20)
    wants, may = threading.Event(), threading.Event()

    def waits() -> None:
        wants.set()
        assert may.wait(LONG)

    with monkeypatch.context() as waiting:
        waiting.setattr(late._opened.files, "check_log", waits)
        await submit(late, "large", 200_000)
        assert wants.wait(LONG)
        await submit(quick, "next")
        await submit(quick, "first of a new log")
        pages, done = log(database)
        assert (pages < 20, done) == (True, 0)
        may.set()
        assert await late._do(lambda _: log(database)) == (pages, 0)
    await late.close()
    await quick.close()


async def test_who_reads_for_long_holds_up_nobody_and_is_not_asked_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "ledger.db"
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 60)
    monkeypatch.setattr(writer, "LEFT", 1)
    monkeypatch.setattr(writer, "RESTART_PAGES", 20)
    monkeypatch.setattr(writer, "LOOK", LONG)
    ledger = SqliteLedger(database, wall_clock)
    await submit(ledger, "read")
    backup = apsw.Connection(str(database))
    backup.execute("BEGIN; SELECT * FROM tally").fetchall()
    began = monotonic()
    with patch.object(ledger._writer, "_checkpoint", wraps=ledger._writer._checkpoint) as tried:
        for number in range(10):
            await submit(ledger, f"{number}", 80_000)
        pages, done = await ledger._do(lambda _: log(database))
    assert pages - done > 180
    assert 2 <= tried.call_count <= pages // 60
    assert monotonic() - began < 10.0  # each of ten that submits waits two seconds elsewise
    backup.execute("COMMIT")
    backup.close()
    await submit(ledger, "large", 240_000)
    await submit(ledger, "first of a new log")
    pages, done = await ledger._do(lambda _: log(database))
    assert (pages < 20, done) == (True, 0)
    await ledger.close()


async def test_what_somebody_read_is_brought_afterwards_though_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "ledger.db"
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 20)
    monkeypatch.setattr(writer, "LOOK", 0.01)
    ledger = SqliteLedger(database, wall_clock)
    brought, bring = threading.Event(), ledger._writer._bring

    def telling(patience: int) -> bool:
        left = bring(patience)
        if not left:
            brought.set()
        return left

    monkeypatch.setattr(ledger._writer, "_bring", telling)
    backup = apsw.Connection(str(database))
    backup.execute("BEGIN; SELECT * FROM tally").fetchall()
    await submit(ledger, "large", 200_000)
    await ledger.ping()
    pages, done = log(database)
    assert pages - done > 20
    backup.execute("COMMIT")
    backup.close()
    assert await asyncio.to_thread(brought.wait, LONG)
    assert log(database) == (pages, pages)
    await ledger.close()


async def test_it_is_left_to_those_for_whose_callers_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "ledger.db"
    ledger = SqliteLedger(database, wall_clock)
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 60)
    await submit(ledger, "large", 130_000)
    pages, done = await ledger._do(lambda _: log(database))
    assert (60 < pages < 120, done) == (True, 0)
    await ledger._do(lambda _: None, patient=True)
    pages, done = await ledger._do(lambda _: log(database))
    assert pages == done > 60
    await ledger.close()
