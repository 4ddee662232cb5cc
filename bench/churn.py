"""Whether PostgreSQL stays as fast while its tables are churned: `python -m bench.churn`."""

from __future__ import annotations

import argparse
import asyncio
import time
from itertools import count

from tests.conformance.stage import LEASE, ended, submission
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.ledger.postgres import PostgresLedger
from unlost.ledger.values import Claim, Worker
from unlost.policy import Limits
from unlost.task import Event, Outcome

BATCH = 100

SIZES = """
SELECT pg_total_relation_size('unlost.task') / 1024,
  pg_total_relation_size('unlost.open_task') / 1024,
  pg_indexes_size('unlost.open_task') / 1024,
  (SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE schemaname = 'unlost'),
  (SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database())
"""


async def _submit(ledger: PostgresLedger, numbers: count[int], many: int) -> None:
    await ledger.submit([submission(f"t{next(numbers)}") for _ in range(many)])


async def _turn(ledger: PostgresLedger, numbers: count[int]) -> int:
    """As many new tasks as are claimed and settled, so that the backlog stays; how many."""
    await ledger.enlist(Worker("w"), LEASE)
    tokens = [f"w{next(numbers)}" for _ in range(BATCH)]
    claimed = await ledger.claim(Claim("w", tokens, None, Limits(2, 60.0)))
    await ledger.settle([ended(one, Outcome.SUCCEEDED, Event.SUCCEED) for one in claimed])
    await _submit(ledger, numbers, len(claimed))
    return len(claimed)


async def churn(database: Database, backlog: int, seconds: float, every: float) -> None:
    """Print a line for each `every` seconds of churn beside `backlog` waiting tasks."""
    ledger, numbers = await database.ledger(), count()
    for _ in range(backlog // BATCH):
        await _submit(ledger, numbers, BATCH)
    print("tasks/s  buffers/task  task KiB  open KiB  its indexes KiB  dead tuples")
    with database.connect() as db:
        begun = time.monotonic()
        buffers = (db.execute(SIZES).fetchone() or ())[4]
        while time.monotonic() < begun + seconds:
            since, done = time.monotonic(), 0
            while time.monotonic() < since + every:
                done += await _turn(ledger, numbers)
            rate = done / (time.monotonic() - since)
            task, hot, index, dead, after = db.execute(SIZES).fetchone() or ()
            used = (after - buffers) / max(done, 1)
            print(
                f"{rate:7.0f}  {used:12.1f}  {task:8}  {hot:8}  {index:15}  {dead:11}", flush=True
            )
            buffers = after
    await ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.churn", description=__doc__)
    parser.add_argument("--backlog", type=int, default=100_000, help="tasks that wait")
    parser.add_argument("--seconds", type=float, default=600, help="how long to churn")
    parser.add_argument("--every", type=float, default=30, help="seconds between lines")
    parser.add_argument("--naptime", type=int, default=60, help="seconds between autovacuums")
    chosen = parser.parse_args()
    with Server(autovacuum_naptime=f"{chosen.naptime}s") as server, Database(server) as database:
        asyncio.run(churn(database, chosen.backlog, chosen.seconds, chosen.every))


if __name__ == "__main__":
    main()
