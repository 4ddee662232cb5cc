"""Whose the files beside a SQLite ledger are, and what an account may do that only reads.

As root, another account is really another; elsewhere it is this one without the right to write.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import apsw
import pytest

from tests.ledger.gone.files import LEAVER
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Awaiting, Ledger, LedgerUnavailable, LedgerUnfit, Prompt
from unlost.ledger.sqlite.connection import reading
from unlost.ledger.sqlite.migrations import MIGRATIONS
from unlost.ledger.sqlite.read_only import ReadOnlyLedger
from unlost.ledger.sqlite.schema import APPLICATION_ID
from unlost.ledger.values import Claim, Settlement
from unlost.policy import Limits
from unlost.task import Event, Outcome, Submission

ROOT = os.geteuid() == 0
NOBODY = 65534

Step = Callable[[Ledger], Awaitable[object]]


def submission(task_id: str) -> Submission:
    return Submission(task_id, "{}", b"d" * 32)


@pytest.fixture
def file() -> Iterator[Path]:
    """A ledger with one task, in a folder that any account may enter."""
    folder = Path(tempfile.mkdtemp(prefix="unlost-test-"))
    folder.chmod(0o755)
    asyncio.run(_with(folder / "ledger.db", _submit("t")))
    yield folder / "ledger.db"
    folder.chmod(0o755)
    shutil.rmtree(folder)


def _submit(task_id: str) -> Step:
    return lambda ledger: ledger.submit([submission(task_id)])


async def _claim(ledger: Ledger) -> object:
    return await ledger.claim(Claim("w", ["a"], None, Limits(0, 1.0)))


async def _settle(ledger: Ledger) -> object:
    return await ledger.settle([Settlement("t", "a", Outcome.SUCCEEDED, Event.SUCCEED)])


async def _step_redrive(ledger: Ledger) -> object:
    return await ledger.step_redrive("r")


async def _submit_for(ledger: Ledger) -> None:
    assert isinstance(ledger, Prompt)
    ledger.submit_for([submission("u")], cast("Awaiting", asyncio.Future()))


async def _accepted(ledger: Ledger) -> int:
    return (await ledger.counts()).accepted


async def _with(file: Path, step: Step, *, reading: bool = False) -> object:
    ledger = await open_ledger(f"sqlite:///{file}", reading=reading)
    try:
        return await step(ledger)
    finally:
        await ledger.close()


def lock_of(file: Path) -> Path:
    return Path(f"{file}-lock")


def give(path: Path, uid: int, mode: int) -> None:
    if ROOT:
        os.chown(path, uid, uid)
    path.chmod(mode)


def forbid(file: Path) -> None:
    """Let others read the ledger, and nobody write it."""
    for path in file.parent.iterdir():
        path.chmod(0o444)
    file.parent.chmod(0o555)


def by_another(step: Callable[[], object]) -> str:
    """What comes of a step that another account takes, or what it raises."""
    outlet, inlet = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if ROOT:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            told = str(step())
        except Exception as error:  # noqa: BLE001 - the edge of a process
            told = f"{type(error).__name__}: {error}"
        os.write(inlet, told.encode())
        os._exit(0)
    os.close(inlet)
    with os.fdopen(outlet) as said:
        told = said.read()
    os.waitpid(child, 0)
    return told


def read_by_another(file: Path) -> str:
    return by_another(lambda: asyncio.run(_with(file, _accepted, reading=True)))


@contextmanager
def opened(file: Path, step: Step | None = None, *, reading: bool = False) -> Iterator[None]:
    """The ledger is open, and its event loop does nothing: a process may be forked."""
    with asyncio.Runner() as runner:
        ledger = runner.run(open_ledger(f"sqlite:///{file}", reading=reading))
        if step is not None:
            runner.run(_taken(step, ledger))
        yield
        runner.run(ledger.close())


async def _taken(step: Step, ledger: Ledger) -> None:
    await step(ledger)


def kill_in_use(file: Path) -> None:
    """Have a process submit a task and end without closing the ledger."""
    subprocess.run([sys.executable, "-c", LEAVER, f"sqlite:///{file}"], check=True, timeout=60)


# What is made beside the database


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_lock_file_is_made_as_the_database_is(file: Path, mode: int) -> None:
    lock_of(file).unlink()
    give(file, NOBODY, mode)
    asyncio.run(_with(file, _submit("u")))
    made, database = lock_of(file).stat(), file.stat()
    assert stat.S_IMODE(made.st_mode) == mode
    assert (made.st_uid, made.st_gid) == (database.st_uid, database.st_gid)


def test_a_lock_file_is_not_made_through_a_link(file: Path, tmp_path: Path) -> None:
    lock_of(file).unlink()
    lock_of(file).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        asyncio.run(_with(file, _submit("u")))
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_file_of_somebody_else_is_refused_with_the_cure(file: Path) -> None:
    give(file, NOBODY, 0o644)
    give(file.parent, NOBODY, 0o755)
    give(lock_of(file), 0, 0o444)
    said = by_another(lambda: asyncio.run(_with(file, _submit("u"))))
    owner = file.stat()
    assert said.startswith(f"LedgerUnfit: {lock_of(file)} belongs to ")
    assert "(mode 0444)" in said
    cure = f"chown {owner.st_uid}:{owner.st_gid} {lock_of(file)} && chmod 0644 {lock_of(file)}"
    assert said.endswith(f"as root: {cure}")
    give(lock_of(file), NOBODY, 0o644)
    told = by_another(lambda: asyncio.run(_with(file, _submit("u"))))
    assert told.startswith("[Submitted(")


# Reading


def test_reading_makes_nothing_where_nobody_has_written(file: Path) -> None:
    lock_of(file).unlink()
    content = file.read_bytes()
    assert asyncio.run(_with(file, _accepted, reading=True)) == 1
    for step in (_submit("u"), _claim, _settle, _step_redrive, _submit_for):
        with pytest.raises(LedgerUnfit, match="opened for reading alone"):
            asyncio.run(_with(file, step, reading=True))
    assert list(file.parent.iterdir()) == [file]
    assert file.read_bytes() == content


def test_reading_beside_a_service_that_starts_and_ends_meanwhile(file: Path) -> None:
    async def meanwhile(ledger: Ledger) -> int:
        await _with(file, _submit("u"))
        return await _accepted(ledger)

    lock_of(file).unlink()
    assert asyncio.run(_with(file, meanwhile, reading=True)) == 2
    assert asyncio.run(_with(file, _accepted)) == 2


def test_a_log_that_a_kill_has_left_is_there_for_who_opens_the_ledger_next(file: Path) -> None:
    """It may have to be written anew first (see `doubt`)."""

    lock_of(file).unlink()
    with opened(file, reading=True):
        kill_in_use(file)
    assert Path(f"{file}-wal").stat().st_size > 0
    assert asyncio.run(_with(file, _accepted)) == 2


def test_an_account_that_may_only_read_reads_a_ledger_at_rest(file: Path) -> None:
    forbid(file)
    before = sorted(file.parent.iterdir())
    assert read_by_another(file) == "1"
    assert sorted(file.parent.iterdir()) == before


def test_an_account_that_may_only_read_reads_beside_a_service(file: Path) -> None:
    with opened(file, _submit("u")):
        forbid(file)
        assert read_by_another(file) == "2"


def test_an_account_that_may_only_read_reads_what_a_kill_has_left(file: Path) -> None:
    kill_in_use(file)
    forbid(file)
    assert read_by_another(file) == "2"


def test_a_log_that_may_not_be_read_is_told_in_one_line(file: Path) -> None:
    with opened(file, _submit("u")):
        Path(f"{file}-wal").chmod(0)
        said = read_by_another(file)
    assert said.startswith(f"LedgerUnfit: {file} cannot be read with the rights of this")
    assert "\n" not in said


async def test_what_is_read_without_a_lock_is_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    await _with(path, _submit("t"))
    monkeypatch.setattr(reading, "may_write", lambda _: False)
    reader = ReadOnlyLedger(path, lambda: 0)
    assert (await reader.counts()).accepted == 1
    await _with(path, _submit("u"))  # it is at rest again, and another than it was
    with pytest.raises(LedgerUnavailable, match="was opened by others meanwhile"):
        await reader.counts()
    await reader.close()


@pytest.fixture
def old(file: Path) -> Path:
    """A ledger as the first version made it."""
    path = file.parent / "old.db"
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", "wal")
    db.execute(MIGRATIONS[0])
    db.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=1")
    db.close()
    return path


def test_an_older_file_is_brought_to_this_version_to_be_read(old: Path) -> None:
    assert asyncio.run(_with(old, _accepted, reading=True)) == 0
    assert lock_of(old).exists()


def test_an_older_file_that_may_not_be_written_is_told_in_one_line(old: Path) -> None:
    forbid(old)
    said = read_by_another(old)
    assert said.startswith(f"OlderVersion: {old} is of an older version of unlost (schema 1); let ")
