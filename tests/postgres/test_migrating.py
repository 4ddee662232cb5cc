"""Migrations: safe when several processes begin, and old code works beside newer tables."""

from __future__ import annotations

import asyncio
import sys

import psycopg

from tests.conformance.stage import Clock, Stage, must_add_up
from tests.postgres.databases import empty
from tests.postgres.server import Server
from unlost.access.keys import Key, Secret
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres.schema import MIGRATIONS
from unlost.ledger.protocol import Ledger

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
    url = empty(postgres, "first_version")
    with psycopg.connect(url) as db:
        db.execute("CREATE SCHEMA unlost")
        db.execute(MIGRATIONS[0])
        db.execute(WAITING_IN_VERSION_1)

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
