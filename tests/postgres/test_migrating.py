"""Migrations: safe when several processes begin, and old code works beside newer tables."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.conformance.stage import Clock, Stage, must_add_up
from tests.postgres.databases import Database, empty
from tests.postgres.server import Server
from unlost.access.keys import Key, Secret
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres import preparing
from unlost.ledger.postgres.migrations import MIGRATIONS
from unlost.ledger.postgres.upkeep import purging
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import NewStep, Query
from unlost.limits.control import Change, Control
from unlost.task import State

OPEN = """
import asyncio, sys
from unlost.ledger.opening import open_ledger
async def main():
    ledger = await open_ledger(sys.argv[1])
    print((await ledger.counts()).accepted)
    await ledger.close()
asyncio.run(main())
"""

NEWER = """
ALTER TABLE unlost.task ADD COLUMN later text;
ALTER TABLE unlost.open_task ADD COLUMN later integer NOT NULL DEFAULT 7;
CREATE TABLE unlost.later (n integer);
UPDATE unlost.ledger SET version = 99;
"""

WAITING_IN_VERSION_1 = """
INSERT INTO unlost.ledger (version, compatible) VALUES (1, 1);
INSERT INTO unlost.task (seq, submitted_at, updated_at, priority, id, type, digest)
OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, 0, 'old', 'default', '\\x64');
SELECT setval('unlost.task_seq_seq', 1);
INSERT INTO unlost.open_task (seq, due_at, updated_at, rank, state, type)
VALUES (1, 1, 1, 0, 'queued', 'default');
INSERT INTO unlost.payload VALUES (1, '{}');
UPDATE unlost.tally SET accepted = 1, queued = 1 WHERE slot = 0;
"""


async def test_processes_that_begin_at_once_make_the_tables_once(postgres: Server) -> None:
    url = empty(postgres, "begun_at_once")
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", OPEN, url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [(await process.communicate())[0] for process in processes]
    assert said == [b"0\n", b"0\n"]
    with psycopg.connect(url) as db:
        assert db.execute("SELECT version FROM unlost.ledger").fetchall() == [(len(MIGRATIONS),)]


async def test_beside_newer_tables_that_allow_it_tasks_live_their_lives(
    postgres: Server, clock: Clock
) -> None:
    url = empty(postgres, "newer_beside")

    async def opener() -> Ledger:
        return await open_ledger(url, clock)

    stage = Stage(await opener(), clock, opener)
    await stage.submit("before")
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(NEWER)
    await stage.submit("meanwhile")
    await stage.reopen()
    await stage.submit("after")
    for task_id in ("before", "meanwhile", "after"):
        assert await stage.succeed(await stage.run(task_id), "1")
    await must_add_up(stage.ledger)
    await stage.ledger.close()
    with psycopg.connect(url) as db:
        assert db.execute("SELECT version FROM unlost.ledger").fetchone() == (99,)


async def test_tables_of_the_first_version_are_brought_to_this_one_with_all_that_is_in_them(
    postgres: Server, clock: Clock
) -> None:
    url = first_version(postgres, "first_version")

    async def opener() -> Ledger:
        return await open_ledger(url, clock)

    stage = Stage(await opener(), clock, opener)
    await stage.ledger.pause("other", None, None)
    await stage.submit("new")
    key = Key("ops", frozenset({"read"}), 1, (Secret("0" * 64),))
    assert await stage.ledger.add_key(key) is None
    assert await stage.ledger.keys() == [key]
    await stage.submit("unwanted")
    await stage.ledger.cancel("unwanted", "ann", None, api_key="ops")
    assert [act.api_key for act in (await stage.record("unwanted")).history] == ["ops"]
    for task_id in ("old", "new"):
        assert await stage.succeed(await stage.run(task_id), "1")
    await must_add_up(stage.ledger)
    await stage.ledger.close()
    with psycopg.connect(url) as db:
        assert db.execute("SELECT version FROM unlost.ledger").fetchall() == [(len(MIGRATIONS),)]


async def test_a_purge_by_older_code_takes_steps(
    postgres: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = tuple(sql for sql in purging.REMOVE if "unlost.step" not in sql)
    assert len(older) == len(purging.REMOVE) - 1
    monkeypatch.setattr(purging, "REMOVE", older)
    url = empty(postgres, "purged_by_older")

    async def opener() -> Ledger:
        return await open_ledger(url, clock)

    stage = Stage(await opener(), clock, opener)
    for task_id in ("over", "running"):
        await stage.submit(task_id)
        attempt = await stage.run(task_id)
        await stage.ledger.record_step(NewStep(task_id, attempt.token, "charge", "1"))
        if task_id == "over":
            await stage.succeed(attempt)
    assert await stage.ledger.purge(clock.advance(60), 10) == 1
    assert await stage.ledger.steps_of("over") == []
    assert len(await stage.ledger.steps_of("running")) == 1
    await stage.ledger.close()


BARE = """
INSERT INTO unlost.ledger (version, compatible) VALUES (5, 1);
INSERT INTO unlost.task (seq, submitted_at, updated_at, priority, state, id, type, digest)
OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, 0, 'cancelled', 'bare', 'default', '\\x64');
SELECT setval('unlost.task_seq_seq', 1);
UPDATE unlost.tally SET accepted = 1, cancelled = 1 WHERE slot = 0;
"""


async def test_tables_of_the_fifth_version_are_searched_for_what_was_cancelled_without_its_history(
    postgres: Server,
) -> None:
    url = empty(postgres, "fifth_version")
    with psycopg.connect(url) as db:
        db.execute("CREATE SCHEMA unlost")
        for script in MIGRATIONS[:5]:
            db.execute(script)
        db.execute(BARE)
    ledger = await open_ledger(url)
    page = await ledger.page(Query(state=State.CANCELLED))
    assert [record.task_id for record in page.records] == ["bare"]
    await ledger.close()


def first_version(postgres: Server, name: str) -> str:
    """The URL of a ledger of the first version."""
    url = empty(postgres, name)
    with psycopg.connect(url) as db:
        db.execute("CREATE SCHEMA unlost")
        db.execute(MIGRATIONS[0])
        db.execute(WAITING_IN_VERSION_1)
    return url


@contextmanager
def dumped(url: str) -> Iterator[None]:
    """Somebody reads all tables in one long transaction, as pg_dump does."""
    with psycopg.connect(url) as db:
        db.execute("LOCK TABLE unlost.open_task, unlost.task, unlost.act IN ACCESS SHARE MODE")
        yield


async def writes(url: str, until: asyncio.Future[None]) -> float:
    """Write as an older worker does, again and again; the longest that took, in seconds."""
    longest = 0.0
    loop = asyncio.get_running_loop()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        while not until.done():
            begun = loop.time()
            await db.execute("UPDATE unlost.open_task SET due_at = due_at")
            await db.execute("UPDATE unlost.task SET priority = priority")
            await db.execute("INSERT INTO unlost.act (seq, at, event) VALUES (1, 1, 'none')")
            longest = max(longest, loop.time() - begun)
            await asyncio.sleep(0.02)
    return longest


async def test_an_upgrade_beside_a_dump_holds_older_workers_up_for_a_moment_at_most(
    postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    url = first_version(postgres, "upgraded_beside_a_dump")
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    writing = asyncio.create_task(writes(url, over))
    with dumped(url):
        opening = asyncio.create_task(open_ledger(url))
        await asyncio.sleep(7)
        assert not opening.done()
        over.set_result(None)
        assert await writing < 5
    ledger = await opening
    assert (await ledger.counts()).accepted == 1
    await ledger.close()
    assert [one.getMessage() for one in caplog.records] == ["ledger.upgrade_waits"]


WAITED_FOR = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"


async def test_an_upgrade_and_older_code_that_wait_for_each_other_are_held_up_for_a_moment(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "PAUSE", 0.05)
    url = first_version(postgres, "upgraded_beside_a_redrive")
    with psycopg.connect(url, autocommit=True) as looking, psycopg.connect(url) as redriving:
        looking.execute("ALTER DATABASE upgraded_beside_a_redrive SET deadlock_timeout = '50ms'")
        redriving.execute("SELECT FROM unlost.dead")
        opening = asyncio.create_task(open_ledger(url))
        while looking.execute(WAITED_FOR, ["unlost.dead"]).fetchone() != (1,):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        act = "INSERT INTO unlost.act (seq, at, event) VALUES (1, 1, 'none')"
        await asyncio.to_thread(redriving.execute, act)
    await (await opening).close()


SLOWLY_VACUUMED = """
ALTER TABLE unlost.task SET (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,
  autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0);
INSERT INTO unlost.task (submitted_at, updated_at, priority, id, type, digest)
  SELECT n, n, 0, n::text, 'default', '' FROM generate_series(1, 10000) AS n;
DELETE FROM unlost.task WHERE id <> 'old';
"""

VACUUMED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'autovacuum: %unlost.task'
"""


@contextmanager
def often_vacuumed(db: psycopg.Connection) -> Iterator[None]:
    """The server looks each second for what is to be vacuumed."""
    db.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    db.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        db.execute("ALTER SYSTEM RESET autovacuum_naptime")
        db.execute("SELECT pg_reload_conf()")


async def test_an_upgrade_is_not_held_up_by_an_autovacuum(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "TRIED_FOR", 0.0)
    url = first_version(postgres, "upgraded_beside_a_vacuum")
    with psycopg.connect(url, autocommit=True) as looking:
        looking.execute(SLOWLY_VACUUMED)
        with often_vacuumed(looking):
            while looking.execute(VACUUMED).fetchone() != (1,):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await (await open_ledger(url)).close()
        looking.execute("ALTER TABLE unlost.task RESET (autovacuum_vacuum_cost_delay)")


async def test_an_upgrade_that_is_held_up_for_long_is_given_up_and_says_by_what(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "TRIED_FOR", 2.0)
    url = first_version(postgres, "never_upgraded")
    with dumped(url), pytest.raises(LedgerUnavailable, match=r"pg_dump.*start again"):
        await open_ledger(url)
    ledger = await open_ledger(url)
    await ledger.close()


async def test_older_code_that_drops_a_row_leaves_its_rates(database: Database) -> None:
    ledger = await database.ledger(Clock())
    await ledger.pause("mail", None, None)
    await ledger.change("mail", Change(key_rate=2))
    with psycopg.connect(database.url) as db:
        db.execute("DELETE FROM unlost.control WHERE type = 'mail'")
    assert await ledger.controls() == [Control("mail", key_rate=2)]
    await ledger.change("mail", Change(key_rate=None))
    assert await ledger.controls() == []
    await ledger.close()
