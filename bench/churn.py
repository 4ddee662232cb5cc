"""Whether PostgreSQL stays as fast while its tables are churned, beside millions of old tasks.

    python -m bench.churn [--finished 10000000] [--minutes 12] [--waiting 20000]
    python -m bench.churn --tasks 1000000 --loops 2 --minutes 60
    python -m bench.churn --held 600    beside a transaction that is held open (see bench.held)

A server of its own, on disk, is filled with tasks that are over.  Then tasks are submitted, claimed
and settled in batches, as many as can be; some are retried, die, or are cancelled.  A line a minute
tells how fast that was, what each step touched, what CPU time it took (the server's and this
process's), and how the tables grew; the last one how steady it was: the slowest tenth of the tasks
beside the fastest, and the longest statement.  Rates say least on a machine that does other things.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Final

from bench.churner import Churner
from bench.filling import fill
from bench.held import hold
from bench.measures import PAYLOAD
from bench.spells import HEADINGS, Spell, line, look, summary
from bench.steady import longest_statement, steadiness
from tests.postgres.databases import Database
from tests.postgres.server import Server

LOOPS: Final = 3

SERVER: Final = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "5min",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_planning": "off",
}


async def churn(database: Database, chosen: argparse.Namespace) -> None:
    """Print a line for each `every` seconds."""
    ledger = await database.ledger()
    churner = Churner(ledger, Random(1), time.monotonic() + chosen.minutes * 60, chosen.tasks)
    for _ in range(0, chosen.waiting, 1000):
        await churner.submit(1000)
    with database.connect() as db:
        db.execute("SELECT pg_stat_statements_reset()")
        print(HEADINGS, flush=True)
        churner.moments.append((time.monotonic(), 0))
        loops = {asyncio.create_task(churner.turn()) for _ in range(chosen.loops)}
        spells = [spell async for spell in watch(database, churner, loops, chosen.every)]
        await asyncio.gather(*loops)
        await ledger.close()
        print(summary(spells))
        print(steadiness(churner.moments, longest_statement(db)))


async def watch(
    database: Database, churner: Churner, loops: set[asyncio.Task[None]], every: float
) -> AsyncIterator[Spell]:
    """Print and yield a spell for each `every` seconds, the last one where the loops end."""
    server = database.server.pid
    with database.connect() as db:
        before, done, since = look(db, server), churner.done, time.monotonic()
        running = loops
        while running:
            _, running = await asyncio.wait(running, timeout=every)
            after, now = await asyncio.to_thread(look, db, server), time.monotonic()
            spell = Spell(before, after, churner.done - done, now - since)
            print(line(spell), flush=True)
            yield spell
            before, done, since = after, churner.done, now


def main() -> None:
    """Fill, churn, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.churn", description=__doc__)
    parser.add_argument("--finished", type=int, default=1_000_000, help="tasks that are over")
    parser.add_argument("--waiting", type=int, default=20_000, help="tasks that wait, always")
    parser.add_argument("--minutes", type=float, default=12, help="how long to churn")
    parser.add_argument("--every", type=float, default=60, help="seconds between lines")
    parser.add_argument("--naptime", type=int, default=60, help="seconds between autovacuums")
    parser.add_argument("--also", default="", help="SQL to try on top of the schema")
    parser.add_argument("--tasks", type=int, default=0, help="end after so many, 0: never")
    parser.add_argument("--loops", type=int, default=LOOPS, help="workers that claim and settle")
    parser.add_argument("--held", type=float, default=0, help="seconds of a held transaction")
    parser.add_argument("--rate", type=float, default=0, help="with --held: not half of the peak")
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
        if chosen.held:
            sys.exit(not asyncio.run(hold(database, chosen)))
        asyncio.run(churn(database, chosen))


async def _prepare(database: Database) -> None:
    await (await database.ledger()).close()


if __name__ == "__main__":
    main()
