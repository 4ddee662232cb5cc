"""The log is brought into the database by one process at a time, and by none for another again."""

from __future__ import annotations

import threading
from pathlib import Path

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


async def test_most_of_it_is_done_beside_those_who_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "ledger.db"
    one, other = (SqliteLedger(database, wall_clock) for _ in range(2))
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 20)
    begun, may, bring = threading.Event(), threading.Event(), one._writer._bring

    def slowly(least: int, restart: int | None = None) -> bool:
        if restart is None:
            begun.set()
            assert may.wait(LONG)
        return bring(least, restart)

    monkeypatch.setattr(one._writer, "_bring", slowly)
    monkeypatch.setattr(other._writer, "_checkpoint", lambda: None)
    await submit(one, "large", 200_000)
    assert begun.wait(LONG)
    await submit(other, "meanwhile")
    may.set()
    pages, done = await one._do(lambda _: log(database))
    assert pages == done > 40
    await one.close()
    await other.close()


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
