"""Whether PostgreSQL stays as fast while its tables are churned, beside millions of old tasks.

    python -m bench.churn [--finished 10000000] [--minutes 12] [--waiting 20000]

A server of its own, on disk, is filled with tasks that are over.  Then tasks are submitted, claimed
and settled in batches, as many as can be; some are retried, die, or are cancelled.  A line a minute
tells how fast that was, what each step touched, and how the tables grew.  Buffers say more than
rates on a machine that does other things, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import psycopg

from bench.filling import fill
from bench.measures import PAYLOAD
from tests.conformance.stage import BOOM, ended, submission
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.ledger.postgres import PostgresLedger
from unlost.ledger.protocol import Refused
from unlost.ledger.values import Claim, Claimed, Settlement, Worker
from unlost.policy import Limits
from unlost.task import SECOND, Event, Outcome

BATCH: Final = 50
LOOPS: Final = 3
LEASE: Final = 24 * 3600 * SECOND

SERVER: Final = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "5min",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_planning": "off",
}

# The statements of each step, by words that only they have.
STEPS: Final = """
SELECT CASE
    WHEN query LIKE '%locked AS MATERIALIZED%' THEN 'claim'
    WHEN query LIKE '%unlost.payload (seq, text) SELECT seq, payload%' THEN 'submit'
    WHEN query LIKE '%DELETE FROM unlost.open_task%' OR query LIKE '%INTO unlost.attempt%'
      OR query LIKE '%wanted.id OFFSET%FOR UPDATE%' OR query LIKE '%SET state = item.state%'
      OR query LIKE '%INTO unlost.dead%' THEN 'settle'
    ELSE 'rest' END AS step,
  sum(shared_blks_hit + shared_blks_read)::bigint
FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
WHERE datname = current_database()
GROUP BY step
"""

SIZES: Final = """
SELECT pg_table_size('unlost.open_task'), pg_relation_size('unlost.open_task_due'),
  pg_relation_size('unlost.open_task_pkey') + pg_relation_size('unlost.open_task_running'),
  pg_table_size('unlost.task'), pg_indexes_size('unlost.task'),
  (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'unlost.open_task'::regclass),
  (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'unlost.task'::regclass),
  (SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'unlost.task'::regclass),
  (SELECT n_tup_upd FROM pg_stat_user_tables WHERE relid = 'unlost.task'::regclass),
  (SELECT sum(vacuum_count + autovacuum_count) FROM pg_stat_user_tables),
  pg_current_wal_insert_lsn() - '0/0'
"""


class Look(msgspec.Struct, frozen=True):
    """What the server has done so far; sizes in bytes."""

    open_task: int
    due: int
    other_indexes: int
    task: int
    task_indexes: int
    dead_open: int
    dead_task: int
    hot: int
    updated: int
    vacuums: int
    wal: int
    claim: int
    settle: int
    submit: int
    rest: int


def look(db: psycopg.Connection[tuple[Any, ...]]) -> Look:
    """Look at it now."""
    steps: dict[str, int] = dict.fromkeys(("claim", "settle", "submit", "rest"), 0)
    steps |= dict(db.execute(STEPS).fetchall())
    sizes = db.execute(SIZES).fetchone() or ()
    return Look(*map(int, sizes), **steps)


HEADINGS: Final = (
    "tasks/s  claim settle submit rest (buffers/task)  WAL B/task  HOT  "
    "open_task MiB: heap due others dead  task MiB: heap indexes dead  vacuums"
)


def line(before: Look, after: Look, done: int, seconds: float) -> str:
    """What happened between two looks, under HEADINGS."""
    each = [
        (getattr(after, step) - getattr(before, step)) / max(done, 1)
        for step in ("claim", "settle", "submit", "rest")
    ]
    hot = (after.hot - before.hot) / max(after.updated - before.updated, 1)
    sizes = [after.open_task, after.due, after.other_indexes, after.task, after.task_indexes]
    heap, due, others, task, indexes = (size / 2**20 for size in sizes)
    return (
        f"{done / seconds:7.0f}  {each[0]:5.1f} {each[1]:6.1f} {each[2]:6.1f} {each[3]:4.1f}"
        f"{'':17}{(after.wal - before.wal) / max(done, 1):10.0f}  {hot:4.0%}"
        f"{'':15}{heap:5.1f} {due:4.1f} {others:5.1f} {after.dead_open:6}"
        f"{'':9}{task:8.1f} {indexes:8.1f} {after.dead_task:7} {after.vacuums - before.vacuums:5}"
    )


class Churner:
    """Submits, claims and settles, and counts what it has settled."""

    def __init__(self, ledger: PostgresLedger, random: Random) -> None:
        self._ledger = ledger
        self._random = random
        self._names = count()
        self.done = 0

    async def submit(self, many: int) -> None:
        """Add so many tasks that are due at once."""
        payload = json.dumps(PAYLOAD)
        ids = [f"{self._random.getrandbits(128):032x}" for _ in range(many)]
        await self._ledger.submit([submission(one, payload) for one in ids])
        if self._random.random() < 0.2:
            await self._cancel(ids[0])

    async def _cancel(self, task_id: str) -> None:
        try:
            await self._ledger.cancel(task_id, "bench", None)
        except Refused:  # it is over already
            return

    async def turn(self, until: float) -> None:
        """Claim, settle, and submit as many as came to their end, until that (monotonic) time."""
        worker = f"w{next(self._names)}"
        await self._ledger.enlist(Worker(worker), LEASE)
        while time.monotonic() < until:
            tokens = [f"{worker}-{next(self._names)}" for _ in range(BATCH)]
            claimed = await self._ledger.claim(Claim(worker, tokens, None, Limits(2, 60.0)))
            ends = [self._end(one) for one in claimed]
            await self._ledger.settle(ends)
            over = sum(end.event is not Event.RETRY for end in ends)
            self.done += over
            await self.submit(over)

    def _end(self, one: Claimed) -> Settlement:
        """One in ten attempts fails; what fails three times is dead."""
        if self._random.random() > 0.1:
            return ended(one, Outcome.SUCCEEDED, Event.SUCCEED, result="{}")
        if one.spent > one.max_retries:
            return ended(one, Outcome.FAILED, Event.DIE, error=BOOM)
        wait = self._random.uniform(0, 10)
        return ended(one, Outcome.FAILED, Event.RETRY, wait=wait, error=BOOM)


async def churn(database: Database, waiting: int, minutes: float, every: float) -> None:
    """Print a line for each `every` seconds."""
    ledger = await database.ledger()
    churner = Churner(ledger, Random(1))
    for _ in range(0, waiting, 1000):
        await churner.submit(1000)
    print(HEADINGS, flush=True)
    begun = time.monotonic()
    loops = [asyncio.create_task(churner.turn(begun + minutes * 60)) for _ in range(LOOPS)]
    with database.connect() as db:
        before, done, since = await asyncio.to_thread(look, db), 0, time.monotonic()
        while since < begun + minutes * 60 - 1:
            await asyncio.sleep(every - (time.monotonic() - begun) % every)
            after, now = await asyncio.to_thread(look, db), time.monotonic()
            print(line(before, after, churner.done - done, now - since), flush=True)
            before, done, since = after, churner.done, now
    await asyncio.gather(*loops)
    await ledger.close()


def main() -> None:
    """Fill, churn, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.churn", description=__doc__)
    parser.add_argument("--finished", type=int, default=1_000_000, help="tasks that are over")
    parser.add_argument("--waiting", type=int, default=20_000, help="tasks that wait, always")
    parser.add_argument("--minutes", type=float, default=12, help="how long to churn")
    parser.add_argument("--every", type=float, default=60, help="seconds between lines")
    parser.add_argument("--naptime", type=int, default=60, help="seconds between autovacuums")
    parser.add_argument("--also", default="", help="SQL to try on top of the schema")
    chosen = parser.parse_args()
    settings = SERVER | {"autovacuum_naptime": f"{chosen.naptime}s"}
    place = Path(tempfile.gettempdir())
    with Server(place, **settings) as server:
        database = Database(server)  # not to be emptied, which would take long
        asyncio.run(_prepare(database))
        with database.connect() as db:
            began = time.monotonic()
            db.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            if chosen.also:
                db.execute(chosen.also)
            fill(db, chosen.finished, json.dumps(PAYLOAD))
            print(f"{chosen.finished:,} tasks that are over, in {time.monotonic() - began:.0f} s")
        asyncio.run(churn(database, chosen.waiting, chosen.minutes, chosen.every))


async def _prepare(database: Database) -> None:
    await (await database.ledger()).close()


if __name__ == "__main__":
    main()
