"""The SQLite ledger's file: whose it is, and what happens to it under several processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from unlost.access.keys import Key, Secret
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, LedgerUnavailable, NotALedger
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.connection import connecting, writer
from unlost.ledger.sqlite.migrations import MIGRATIONS
from unlost.ledger.sqlite.schema import APPLICATION_ID
from unlost.ledger.values import Claim, Query, Verdict, Worker
from unlost.policy import Limits
from unlost.settings import WrongSetting
from unlost.task import SECOND, State, Submission

WAITING_IN_VERSION_1 = """
INSERT INTO task (seq, id, type, state, priority, digest, submitted_at, updated_at, due_at, ready)
VALUES (1, 'old', 'default', 'queued', 0, x'64', 1, 1, 1, 1);
INSERT INTO payload VALUES (1, '{}');
INSERT INTO act (seq, at, event, by) VALUES (1, 1, 'redrive', 'bob');
UPDATE tally SET accepted = 1, queued = 1;
"""


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    yield opened
    await opened.close()


def submission(task_id: str, payload: str = "{}") -> Submission:
    return Submission(task_id, payload, b"d" * 32)


@pytest.mark.parametrize(
    "url",
    ["unlost.db", "sqlite://unlost.db", "sqlite:///", "sqlite:///x.db?mode=ro", "oracle://x",
     "dynamodb://", "memory://x", "sqlite:///:memory:"],
)  # fmt: skip
async def test_a_url_that_names_no_ledger_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(WrongSetting) as refused:
        await open_ledger(url)
    assert "\n" not in str(refused.value)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("dear diary, " * 1000)
    with pytest.raises(NotALedger, match="not an unlost ledger"):
        await open_ledger(f"sqlite:///{file}")
    assert file.read_text() == "dear diary, " * 1000


async def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    other = apsw.Connection(str(file))
    other.execute("CREATE TABLE precious (x); INSERT INTO precious VALUES (1)")
    other.close()
    before = file.read_bytes()
    with pytest.raises(NotALedger, match="not an unlost ledger"):
        await open_ledger(f"sqlite:///{file}")
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    await (await open_ledger(url)).close()
    file = apsw.Connection(str(tmp_path / "ledger.db"))
    file.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    file.close()
    with pytest.raises(NotALedger, match="newer version"):
        await open_ledger(url)


async def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotALedger, match="does not exist"):
        await open_ledger(f"sqlite:///{tmp_path}/missing/ledger.db")


async def test_many_openings_at_once_make_one_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledgers = await asyncio.gather(*[open_ledger(url) for _ in range(8)])
    await asyncio.gather(*[ledger.submit([submission("same")]) for ledger in ledgers])
    assert (await ledgers[0].counts()).accepted == 1
    for ledger in ledgers:
        await ledger.close()


async def test_closing_twice_is_safe_and_a_closed_ledger_is_unavailable(ledger: Ledger) -> None:
    await ledger.close()
    await ledger.close()
    with pytest.raises(LedgerUnavailable):
        await ledger.submit([submission("late")])
    with pytest.raises(LedgerUnavailable):
        await ledger.counts()


async def test_a_full_disk_is_unavailable_and_recovers_without_a_restart(
    ledger: SqliteLedger,
) -> None:
    """`max_page_count` makes SQLite itself answer SQLITE_FULL, as it does on a full disk."""
    writer = ledger._writer
    await ledger.submit([submission("before")])
    await writer.do(lambda transaction: transaction.db.execute("PRAGMA max_page_count=1"))
    big = submission("big", '{"x":"' + "y" * 200_000 + '"}')
    with pytest.raises(LedgerUnavailable, match="Full"):
        await ledger.submit([big])
    assert await ledger.get("big") is None
    await writer.do(lambda transaction: transaction.db.execute("PRAGMA max_page_count=100000"))
    assert (await ledger.submit([big]))[0].verdict is Verdict.ACCEPTED
    counts = await ledger.counts()
    assert (counts.accepted, counts.states[State.QUEUED]) == (2, 2)


async def test_a_failed_commit_fails_every_step_in_it_and_stores_none(
    ledger: SqliteLedger,
) -> None:
    def break_down(_: object) -> None:
        raise apsw.IOError("disk I/O error")

    async with asyncio.TaskGroup() as group:
        held = group.create_task(_outcome(ledger._writer.do(break_down)))
        beside = [group.create_task(_outcome(ledger.submit([submission(f"t{n}")]))) for n in "abc"]
    assert held.result() == "LedgerUnavailable"
    stored = [await ledger.get(f"t{n}") is not None for n in "abc"]
    assert [task.result() == "stored" for task in beside] == stored


async def test_all_who_wait_for_a_stranger_wait_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the last of them waits for as long as all before it one after the other."""
    assert (connecting.BUSY, writer.QUICK) == (2_000, 100)
    monkeypatch.setattr("unlost.ledger.sqlite.connection.writer.BUSY", 500)
    monkeypatch.setattr(writer, "QUICK", 10)
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledgers = [await open_ledger(url) for _ in range(6)]
    stranger = apsw.Connection(f"{tmp_path}/ledger.db")
    stranger.execute("BEGIN IMMEDIATE")
    loop = asyncio.get_running_loop()
    began = loop.time()
    failed = await asyncio.gather(*[one.ping() for one in ledgers], return_exceptions=True)
    took = loop.time() - began
    assert all(isinstance(one, LedgerUnavailable) for one in failed)
    assert 0.4 < took < 2.5  # and not 3
    stranger.execute("COMMIT")
    for one in ledgers:
        await one.ping()
        await one.close()
    stranger.close()


async def _outcome(step: object) -> str:
    try:
        await step  # type: ignore[misc]
    except LedgerUnavailable:
        return "LedgerUnavailable"
    return "stored"


PROCESS = """
import asyncio, os, sys
from unlost.ledger.opening import open_ledger
from unlost.ledger.values import Claim, Settlement, Worker
from unlost.policy import Limits
from unlost.task import SECOND, Event, Outcome

async def main(url, name):
    ledger = await open_ledger(url)
    await ledger.enlist(Worker(name), 600 * SECOND)
    while True:
        tokens = [os.urandom(16).hex() for _ in range(10)]
        claimed = await ledger.claim(Claim(name, tokens, None, Limits(2, 60.0)))
        if not claimed:
            break
        for attempt in claimed:
            print(attempt.task_id, flush=True)
        done = [Settlement(c.task_id, c.token, Outcome.SUCCEEDED, Event.SUCCEED) for c in claimed]
        assert all(await ledger.settle(done))
    await ledger.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_several_processes_on_one_file_run_each_task_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = await open_ledger(url)
    await ledger.submit([submission(f"t{n}") for n in range(600)])
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROCESS, url, f"w{n}", stdout=subprocess.PIPE
        )
        for n in range(3)
    ]
    outputs = await asyncio.gather(*[process.communicate() for process in processes])
    ran = [line for output, _ in outputs for line in output.decode().split()]
    assert sorted(ran) == sorted(f"t{n}" for n in range(600))
    assert (await ledger.counts()).states[State.SUCCEEDED] == 600
    await ledger.close()


async def test_a_forked_child_has_lost_the_ledgers_files(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.submit([submission("before")])
    assert _in_a_child(lambda: _open_files(tmp_path / "ledger.db")) == 0
    assert _open_files(tmp_path / "ledger.db") > 0
    await ledger.submit([submission("after")])
    assert (await ledger.counts()).accepted == 2


async def test_a_forked_child_has_lost_files_that_other_files_have_replaced(
    ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "away").mkdir()
    for path in tmp_path.glob("ledger.db*"):
        path.rename(tmp_path / "away" / path.name)
        path.touch()
    assert _in_a_child(lambda: _open_files(tmp_path / "away" / "ledger.db")) == 0
    assert _open_files(tmp_path / "away" / "ledger.db") > 0


async def test_a_forked_child_keeps_what_has_come_after_the_ledger(tmp_path: Path) -> None:
    ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    await ledger.close()
    with (tmp_path / "ledger.db").open("rb"):
        assert _in_a_child(lambda: _open_files(tmp_path / "ledger.db")) == 1


def _in_a_child(count: Callable[[], int]) -> int:
    child = os.fork()
    if child == 0:
        os._exit(count())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _open_files(ledger: Path) -> int:
    paths = [os.path.realpath(path) for path in Path("/dev/fd").iterdir()]
    return sum(path.startswith(str(ledger)) for path in paths)


async def test_the_file_survives_a_kill_with_every_acknowledged_submit(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    script = """
import asyncio, sys
from unlost.ledger.opening import open_ledger
from unlost.task import Submission
async def main(url):
    ledger = await open_ledger(url)
    n = 0
    while True:
        await ledger.submit([Submission(f"t{n}", "{}", b"d" * 32)])
        print(n, flush=True)
        n += 1
asyncio.run(main(sys.argv[1]))
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, url, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(200):
        await process.stdout.readline()
    process.kill()
    rest, _ = await process.communicate()
    acknowledged = 200 + len(rest.splitlines())
    ledger = await open_ledger(url)
    for number in range(acknowledged):
        assert await ledger.get(f"t{number}") is not None
    integrity = apsw.Connection(str(tmp_path / "ledger.db")).pragma("integrity_check")
    assert integrity == "ok"
    await ledger.close()


async def test_a_file_of_the_first_version_is_brought_to_this_one_with_all_that_is_in_it(
    tmp_path: Path,
) -> None:
    file = apsw.Connection(str(tmp_path / "ledger.db"))
    file.pragma("journal_mode", "wal")
    file.execute(MIGRATIONS[0])
    file.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=1")
    file.execute(WAITING_IN_VERSION_1)
    file.close()
    ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    await ledger.pause("other", None, None)
    await ledger.enlist(Worker("w"), SECOND)
    (claimed,) = await ledger.claim(Claim("w", ["t"], None, Limits(2, 60.0)))
    assert (claimed.task_id, claimed.payload) == ("old", "{}")
    assert [control.type for control in await ledger.controls()] == ["other"]
    await ledger.cancel("old", "ann", None, api_key="ops")
    record = await ledger.get("old")
    assert record is not None
    assert [(act.by, act.api_key) for act in record.history] == [("bob", None), ("ann", "ops")]
    key = Key("ops", frozenset({"read"}), 1, (Secret("0" * 64),))
    assert await ledger.add_key(key) is None
    assert await ledger.keys() == [key]
    await ledger.close()


async def test_a_file_of_the_fifth_version_is_searched_for_what_was_cancelled_without_its_history(
    tmp_path: Path,
) -> None:
    file = apsw.Connection(str(tmp_path / "ledger.db"))
    file.pragma("journal_mode", "wal")
    for script in MIGRATIONS[:5]:
        file.execute(script)
    file.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version=5")
    file.execute(WAITING_IN_VERSION_1)
    file.execute("UPDATE task SET state = 'cancelled', ready = NULL, open = NULL")
    file.execute("UPDATE tally SET queued = 0, cancelled = 1; DELETE FROM act")
    file.close()
    ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    page = await ledger.page(Query(state=State.CANCELLED))
    assert [record.task_id for record in page.records] == ["old"]
    await ledger.close()
