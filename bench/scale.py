"""What one task takes of what a machine runs out of, on SQLite and on PostgreSQL.

    python -m bench.scale [--tasks 20000]

One process, without workers or HTTP, submits, claims and settles tasks of 200 bytes, 200 at a time;
first so many that are not measured.  Told for one task: microseconds of CPU in each step (of
PostgreSQL's server as well), bytes written to the log, to all files, and kept.  Bytes are the same
on any machine; CPU says most on a quiet one.  docs/scale.md counts with these.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
import psutil
import psycopg

from bench.measures import PAYLOAD
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claim, Settlement, Worker
from unlost.policy import Limits
from unlost.task import SECOND, Event, Outcome, Submission

AT_ONCE: Final = 200
STEPS: Final = ("submit", "claim", "settle")
SERVER: Final = {"shared_buffers": "512MB", "max_wal_size": "4GB", "autovacuum": "off"}

WRITTEN: Final = """
SELECT pg_current_wal_insert_lsn() - '0/0', pg_database_size(current_database()),
  (SELECT sum(n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE schemaname = 'unlost')
"""

Counts = Mapping[str, float]


class Steps:
    """Has tasks come to their end on a ledger, and adds up what CPU each step took."""

    def __init__(self, ledger: Ledger, cpu: Callable[[], float]) -> None:
        self._ledger = ledger
        self._cpu = cpu
        self._names = count()
        self._random = Random(1)
        self.seconds = dict.fromkeys(STEPS, 0.0)

    async def go(self, tasks: int) -> None:
        """So many tasks, from submit to settlement."""
        for _ in range(0, tasks, AT_ONCE):
            names = [f"{self._random.getrandbits(128):032x}" for _ in range(AT_ONCE)]
            await self._submit(names)
        for _ in range(0, tasks, AT_ONCE):
            await self._work()

    async def _submit(self, names: list[str]) -> None:
        payload = json.dumps(PAYLOAD)
        digest = sha256(payload.encode()).digest()
        began = self._cpu()
        await self._ledger.submit([Submission(one, payload, digest) for one in names])
        self.seconds["submit"] += self._cpu() - began

    async def _work(self) -> None:
        tokens = [f"token-{next(self._names):032}" for _ in range(AT_ONCE)]
        began = self._cpu()
        claimed = await self._ledger.claim(Claim("w", tokens, None, Limits(5, 60.0)))
        at = self._cpu()
        ends = [
            Settlement(one.task_id, one.token, Outcome.SUCCEEDED, Event.SUCCEED, result="{}")
            for one in claimed
        ]
        if len(claimed) != AT_ONCE or not all(await self._ledger.settle(ends)):
            raise RuntimeError("it did not claim and settle all")
        self.seconds["claim"] += at - began
        self.seconds["settle"] += self._cpu() - at


async def measured(
    ledger: Ledger, tasks: int, cpu: Callable[[], float], written: Callable[[], Counts]
) -> dict[str, float]:
    """What one of so many tasks takes."""
    await ledger.enlist(Worker("w"), 3_600 * SECOND)
    steps = Steps(ledger, cpu)
    await steps.go(tasks)
    steps.seconds = dict.fromkeys(STEPS, 0.0)
    before = written()
    await steps.go(tasks)
    after = written()
    await ledger.close()
    found = {f"CPU of a {name}, µs": 1e6 * steps.seconds[name] / tasks for name in STEPS}
    return found | {name: (after[name] - before[name]) / tasks for name in after}


async def on_sqlite(folder: Path, tasks: int) -> dict[str, float]:
    """A file of its own; everything that this process writes goes there."""
    file = folder / "ledger.db"
    own = psutil.Process()

    def written() -> Counts:
        with contextlib.closing(apsw.Connection(str(file))) as db:
            pages = db.pragma("page_count") - db.pragma("freelist_count")
            kept = pages * db.pragma("page_size")
        io: Any = own.io_counters()
        return {"bytes written, log and file": io.write_chars, "bytes kept": kept}

    return await measured(await open_ledger(f"sqlite:///{file}"), tasks, time.process_time, written)


async def on_postgres(server: Server, tasks: int) -> dict[str, float]:
    """A server of its own; CPU is its and this process's."""
    database = Database(server)
    ledger = await database.ledger()
    parent = psutil.Process(server.pid)

    def cpu() -> float:
        times = [one.cpu_times() for one in (parent, *parent.children())]
        return time.process_time() + sum(one.user + one.system for one in times)

    with database.connect() as db:

        def written() -> Counts:
            return _written(db)

        return await measured(ledger, tasks, cpu, written)


def _written(db: psycopg.Connection[tuple[Any, ...]]) -> Counts:
    time.sleep(1.5)  # sessions tell what they changed once a second
    wal, kept, changed = db.execute(WRITTEN).fetchone() or ()
    return {"bytes of WAL": wal, "bytes kept, before vacuum": kept, "dead rows": changed}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    tasks = parser.parse_args().tasks // AT_ONCE * AT_ONCE
    with tempfile.TemporaryDirectory() as folder:
        _print("SQLite", asyncio.run(on_sqlite(Path(folder), tasks)))
    with Server(Path(tempfile.gettempdir()), **SERVER) as server:
        _print("PostgreSQL", asyncio.run(on_postgres(server, tasks)))


def _print(home: str, found: dict[str, float]) -> None:
    print(f"{home}, a task:")
    for name, value in found.items():
        print(f"  {name:30}{value:10,.1f}")


if __name__ == "__main__":
    main()
