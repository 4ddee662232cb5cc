"""A SQLite ledger is made, or opened, where another may be."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from tests.ledger.gone.files import HOLDER, beside, replace, submission
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, LedgerGone, LedgerUnfit
from unlost.ledger.sqlite import SqliteLedger
from unlost.settings import WrongSetting


@pytest.mark.parametrize("empty", [False, True], ids=["gone", "empty"])
async def test_a_log_without_its_database_is_left_as_it_is(
    file: Path, tmp_path: Path, empty: bool
) -> None:
    ledger = await open_ledger(f"sqlite:///{file}")
    await ledger.submit([submission("t")])
    shutil.copy(beside(file, "-wal"), tmp_path / "log")
    await ledger.close()
    shutil.copy(tmp_path / "log", beside(file, "-wal"))
    file.unlink()
    if empty:
        file.touch()
    with pytest.raises(LedgerUnfit, match="but its log ") as refused:
        await open_ledger(f"sqlite:///{file}")
    assert "\n" not in str(refused.value)
    assert beside(file, "-wal").read_bytes() == (tmp_path / "log").read_bytes()
    assert file.exists() is empty


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
async def test_none_is_made_while_another_process_has_one_open(file: Path, end: str) -> None:
    url = f"sqlite:///{file}"
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, url, stdin=pipe, stdout=pipe
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"open\n"
    before = set(file.parent.iterdir())
    beside(file, end).unlink()
    with pytest.raises(LedgerUnfit, match="another process still has the ledger open") as refused:
        await open_ledger(url)
    assert "\n" not in str(refused.value)
    assert set(file.parent.iterdir()) == before - {beside(file, end)}
    await holder.communicate(b"\n")
    if end:
        await (await open_ledger(url)).close()


@asynccontextmanager
async def held_by_another_process(file: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has the ledger open, until it is sent a line or this ends."""
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, f"sqlite:///{file}", stdin=pipe, stdout=pipe
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"open\n"
    yield holder
    if holder.returncode is None:
        await holder.communicate(b"\n")


def link_to(file: Path, other: Path) -> None:
    os.link(file, other)


def move_alone(file: Path, other: Path) -> None:
    file.rename(other)


def lose_lock(file: Path, other: Path) -> None:
    beside(file, "-lock").unlink()


@pytest.mark.parametrize("act", [link_to, move_alone, lose_lock])
async def test_nobody_opens_a_file_that_another_process_has_by_another_name(
    file: Path, tmp_path: Path, act: Callable[[Path, Path], None]
) -> None:
    other = file if act is lose_lock else tmp_path / "other.db"
    async with held_by_another_process(file):
        act(file, other)
        before = sorted(tmp_path.rglob("*"))
        for _ in range(2):
            with pytest.raises(WrongSetting, match="is open in another process") as refused:
                await open_ledger(f"sqlite:///{other}")
            assert "\n" not in str(refused.value)
        if act is not lose_lock:  # which can be read all the same
            with pytest.raises(WrongSetting, match="is open in another process"):
                await open_ledger(f"sqlite:///{other}", reading=True)
        assert sorted(tmp_path.rglob("*")) == before
    again = await open_ledger(f"sqlite:///{other}")
    await again.submit([submission("later")])
    await again.close()


async def test_a_file_with_several_names_is_opened_by_one_of_them_after_the_other(
    file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    async with held_by_another_process(file) as holder:
        os.link(file, other)
        by_its_name = await open_ledger(f"sqlite:///{file}")
        await by_its_name.submit([submission("first")])
        await by_its_name.close()
        await holder.communicate(b"\n")
    ledger = await open_ledger(f"sqlite:///{other}")
    assert await ledger.get("first") is not None
    await ledger.close()


async def test_programs_that_only_read_the_file_keep_nobody_from_opening_it(
    file: Path, tmp_path: Path, ledger: Ledger
) -> None:
    await ledger.close()
    os.link(file, tmp_path / "other.db")
    code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
    code += "print(db.execute('SELECT count(*) FROM task').fetchone(), flush=True); input()"
    pipe = asyncio.subprocess.PIPE
    shell = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(file), stdin=pipe, stdout=pipe
    )
    assert shell.stdout is not None
    assert await shell.stdout.readline() == b"(1,)\n"
    again = await open_ledger(f"sqlite:///{file}")
    await again.submit([submission("after")])
    await again.close()
    await shell.communicate(b"\n")


RACER = """
import asyncio, sys
from unlost.ledger.opening import open_ledger
from unlost.task import Submission
async def main(folder, name):
    sys.stdin.readline()
    for n in range(20):
        ledger = await open_ledger(f"sqlite:///{folder}/{n}.db")
        await ledger.submit([Submission(name, "{}", b"d" * 32)])
        await ledger.close()
asyncio.run(main(*sys.argv[1:]))
"""


async def test_nobody_joins_a_process_whose_file_was_replaced(
    file: Path, ledger: Ledger, tmp_path: Path
) -> None:
    db = apsw.Connection(str(file))
    db.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    db.close()
    (tmp_path / "copy.db").replace(file)
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("after")])
    with pytest.raises(LedgerUnfit, match="end it before another is started"):
        await open_ledger(f"sqlite:///{file}")
    await ledger.close()
    beside(file, "-wal").unlink()  # it is of another database
    joined = await open_ledger(f"sqlite:///{file}")
    assert await joined.get("before") is not None
    await joined.submit([submission("later")])
    await joined.close()


async def test_processes_that_find_none_at_once_make_one(tmp_path: Path) -> None:
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", RACER, str(tmp_path), name, stdin=asyncio.subprocess.PIPE
        )
        for name in "abc"
    ]
    await asyncio.gather(*[racer.communicate(b"\n") for racer in racers])
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    for n in range(20):
        ledger = await open_ledger(f"sqlite:///{tmp_path}/{n}.db")
        assert (await ledger.counts()).accepted == 3
        await ledger.close()


async def test_a_process_of_the_same_service_opens_no_other_file(file: Path) -> None:
    ledger = await open_ledger(f"sqlite:///{file}")
    assert isinstance(ledger, SqliteLedger)
    same = ledger.file
    child = await open_ledger(f"sqlite:///{file}", same=same)
    await child.close()
    await ledger.close()
    replace("")(file)
    with pytest.raises(LedgerUnfit, match="removed or replaced since the service began"):
        await open_ledger(f"sqlite:///{file}", same=same)
    file.unlink()
    with pytest.raises(LedgerUnfit, match="removed or replaced since the service began"):
        await open_ledger(f"sqlite:///{file}", same=same)
    assert not file.exists()
