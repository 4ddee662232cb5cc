"""The SQLite ledger's files are removed or replaced while it is in use, and what is left alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from tests.conformance.stage import must_add_up
from unlost.ledger.opening import open_ledger, wall_clock
from unlost.ledger.protocol import Ledger, LedgerGone, LedgerUnavailable, LedgerUnfit
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.connection import writer
from unlost.ledger.sqlite.files import identity
from unlost.ledger.values import Claim, Worker
from unlost.policy import Limits
from unlost.settings import WrongSetting
from unlost.task import SECOND, State, Submission

Act = Callable[[Path], None]

HOLDER = """
import asyncio, sys
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import LedgerGone
from unlost.ledger.sqlite.connection import writer
writer.LOOK = 0.02
async def main(url):
    ledger = await open_ledger(url)
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.sleep(0.2)
    try:
        await ledger.ping()
    except LedgerGone:
        print("LedgerGone", flush=True)
    await ledger.close()
asyncio.run(main(sys.argv[1]))
"""


def submission(task_id: str) -> Submission:
    return Submission(task_id, "{}", b"d" * 32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the ledger is, in a folder of its own."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "ledger.db"


@pytest.fixture
async def ledger(file: Path) -> AsyncIterator[Ledger]:
    opened = await open_ledger(f"sqlite:///{file}")
    await opened.submit([submission("before")])
    yield opened
    await opened.close()


def beside(file: Path, end: str) -> Path:
    return Path(f"{file}{end}")


def remove(*ends: str) -> Act:
    def act(file: Path) -> None:
        for end in ends:
            beside(file, end).unlink()

    return act


def move_all(file: Path) -> None:
    for end in ("", "-wal", "-shm", "-lock"):
        beside(file, end).rename(file.parent.parent / beside(file, end).name)


def replace(end: str) -> Act:
    """Put a copy in the file's place, as a restore or a deploy does."""

    def act(file: Path) -> None:
        copy = shutil.copy(beside(file, end), file.parent / "copy")
        Path(copy).rename(beside(file, end))

    return act


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
    await asyncio.to_thread(_until, lambda: bool(caplog.records))
    await asyncio.sleep(0.1)
    await ledger.close()
    assert [record.message for record in caplog.records] == ["ledger.unavailable"]
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert str(file.parent) in record.__dict__["why"]


def _until(holds: Callable[[], bool]) -> None:
    stop = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < stop, "it did not come to that in time"
        time.sleep(0.01)


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


async def test_a_folder_that_cannot_be_looked_into_for_a_while_is_only_unavailable(
    tmp_path: Path, file: Path
) -> None:
    link = tmp_path / "link"
    lead(link, file.parent)
    ledger = await open_ledger(f"sqlite:///{link}/{file.name}")
    lead(link, link)  # a loop; as root, no right is missing anywhere
    with pytest.raises(LedgerUnavailable) as refused:
        await ledger.submit([submission("t")])
    assert not isinstance(refused.value, LedgerGone)
    lead(link, file.parent)
    await ledger.submit([submission("t")])
    await ledger.close()


def lead(link: Path, to: Path) -> None:
    """Have a link lead somewhere, without a moment in which there is none."""
    new = link.with_name("new")
    new.symlink_to(to)
    new.rename(link)


async def test_another_name_for_the_file_is_no_harm(ledger: Ledger, file: Path) -> None:
    os.link(file, file.parent / "other-name.db")
    await ledger.submit([submission("after")])
    file.unlink()
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("gone")])


async def test_a_link_counts_by_what_it_leads_to(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(file.parent)
    ledger = await open_ledger(f"sqlite:///{link}/{file.name}")
    await ledger.submit([submission("before")])
    link.unlink()
    (tmp_path / "next").mkdir()
    link.symlink_to(tmp_path / "next")  # the next start makes another ledger
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("after")])
    await ledger.close()


async def test_a_ledger_under_two_names_has_one_lock(tmp_path: Path, ledger: Ledger) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "home" / "ledger.db")
    other = await open_ledger(f"sqlite:///{link}")
    await other.submit([submission("by the link")])
    assert await ledger.get("by the link") is not None
    await other.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "link.db"]


async def test_a_later_change_of_folder_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = SqliteLedger(Path("ledger.db"), wall_clock)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    await ledger.submit([submission("t")])
    await ledger.close()


async def test_what_others_may_do_beside_it_is_no_loss(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    stranger = apsw.Connection(str(file))
    stranger.execute(f"VACUUM INTO '{tmp_path}/copy.db'")
    with apsw.Connection(str(tmp_path / "backup.db")).backup("main", stranger, "main") as backup:
        backup.step()
    stranger.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    stranger.close()
    other = await open_ledger(f"sqlite:///{file}")
    await other.submit([submission("by another")])
    await other.close()
    file.chmod(0o600)
    await ledger.submit([submission("after")])


async def test_a_log_that_is_gone_is_brought_into_the_database(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    beside(file, "-wal").unlink()
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("after")])
    assert isinstance(ledger, SqliteLedger)
    await asyncio.to_thread(_until, lambda: ledger._writer.gave_up)
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


LEAVER = """
import asyncio, os, sys
from unlost.ledger.opening import open_ledger
from unlost.task import Submission
async def main(url):
    ledger = await open_ledger(url)
    await ledger.submit([Submission("left", "{}", b"d" * 32)])
    os._exit(0)
asyncio.run(main(sys.argv[1]))
"""


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


# Making one where another may be


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
