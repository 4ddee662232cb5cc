"""The SQLite ledger's write lock in other hands: what has ended waits, and is settled."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.process.service import Service, children, service, until
from unlost.task import Outcome

TASKS = 40
APP = "process_app:handlers"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock that every write needs, as a forgotten `BEGIN IMMEDIATE` in a shell does."""
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None, timeout=10)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


async def begun(play: Service, seconds: float) -> list[str]:
    names = [f"t{number}" for number in range(TASKS)]
    await play.submit(*names, type="works", payload=f'{{"seconds":{seconds}}}')
    await play.running(*names)
    return names


async def test_what_ends_while_nothing_can_be_written_is_settled_soon_after(tmp_path: Path) -> None:
    async with service(tmp_path, handler=APP, concurrency=TASKS, lease=60) as play:
        names = await begun(play, 2)
        with locked(tmp_path):
            await until(lambda: bool(play.events("ledger.unavailable")))
            await asyncio.sleep(3)
        for name in names:
            record = await play.ended(name, within=10)
            assert [one.outcome for one in record.attempts] == [Outcome.SUCCEEDED]
        assert await play.stop() == 0
        told = [one for one in play.events("ledger.unavailable") if "settlements" in one]
        assert len(told) == 1
        assert told[0]["next"] == max(1, told[0]["settlements"] // 2)
        assert play.events("attempt.refused") == []


async def test_a_stop_while_nothing_can_be_written_settles_what_ended(tmp_path: Path) -> None:
    async with service(tmp_path, handler=APP, concurrency=TASKS, lease=60, grace=20) as play:
        names = await begun(play, 2)
        with locked(tmp_path):
            await until(lambda: bool(play.events("ledger.unavailable")))
            play.process.terminate()
            await asyncio.sleep(3)
            assert play.process.poll() is None
        assert await play.exit_status(within=20) == 0
        for name in names:
            record = await play.ended(name)
            assert [one.outcome for one in record.attempts] == [Outcome.SUCCEEDED]


def api_of(play: Service) -> int:
    (pid,) = (pid for pid, line in children(play.process.pid) if line.endswith(" api"))
    return pid


@pytest.mark.soak
async def test_an_api_whose_event_loop_hangs_is_ended_and_another_one_answers(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, "api") as play:
        os.kill(hung := api_of(play), signal.SIGSTOP)
        await until(lambda: bool(play.events("process.ended")), 60)
        [told] = play.events("process.hung")
        assert (told["pid"], told["role"]) == (hung, "api")
        async with httpx.AsyncClient(timeout=30) as client:
            url = play.ready.removeprefix("unlost is listening on ").strip()
            assert (await client.get(f"{url}/readyz")).status_code == 200
        assert api_of(play) != hung
        assert await play.stop() == 0
