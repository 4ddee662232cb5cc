"""What a step costs: async handlers that make one, beside handlers that make none.

    python -m bench.steps [--tasks 20000] [--rounds 5] [--home sqlite]

A backlog is worked off by two workers with a concurrency of 100, in turns with and without a step
of nothing.  Told are tasks a second, from the first start to the last end, and what a task takes of
the processors in all of the service's processes.  The bound: at least 0.45 of the rate without.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import psycopg
import uvloop

from bench.builds import THIS
from bench.measures import rows, submit_in_batches
from bench.rows import at_least, ratio
from bench.service import cpu_seconds, running
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.task import SECOND

BOUND: Final = 0.45
WITHOUT: Final = "handlers"
WITH: Final = "stepping"
STARTING: Final = "SELECT min(started_at), max(finished_at), count(*) FROM {}attempt"


class Pace(msgspec.Struct, frozen=True):
    """Tasks a second, and microseconds of CPU a task."""

    rate: float
    cpu: float


async def pace(url: str, handlers: str, count: int) -> Pace:
    """How fast two workers bring so many tasks to their end."""
    await submit_in_batches(THIS, url, count)
    handler = ("--handler", f"bench.handlers:{handlers}", "--workers", "2")
    command = ("unlost", "worker", "--ledger", url, *handler, "--concurrency", "100")
    async with running(*command) as pid:
        while (found := await asyncio.to_thread(_attempts, url))[2] < count:  # noqa: ASYNC110 - another's
            await asyncio.sleep(0.1)
        cpu = cpu_seconds(pid)
    return Pace(count / ((found[1] - found[0]) / SECOND), cpu / count * 1e6)


def _attempts(url: str) -> tuple[int, ...]:
    """When the first attempt started and the last ended, and how many have ended."""
    if url.startswith("sqlite:///"):
        [found] = rows(Path(url.removeprefix("sqlite:///")), STARTING.format(""))
        return found
    with psycopg.connect(url) as db:
        return db.execute(STARTING.format("unlost.")).fetchall()[0]


async def measure(home: str, ledgers: Iterator[str], count: int, rounds: int) -> bool:
    """Print a home's figures; whether its bound holds."""
    found: dict[str, list[Pace]] = {WITHOUT: [], WITH: []}
    for _ in range(rounds):
        for handlers, paces in found.items():
            paces.append(await pace(next(ledgers), handlers, count))
    for handlers, paces in found.items():
        rate, cpu = median(one.rate for one in paces), min(one.cpu for one in paces)
        told = "with a step" if handlers == WITH else "without"
        print(f"{home}: {told} {rate:,.0f} tasks/s, {cpu:.0f} µs of CPU each", flush=True)
    share = ratio(*([one.rate for one in found[name]] for name in (WITH, WITHOUT)))
    row = at_least(f"{home}: async handlers with one step : without", share, BOUND)
    print(row.what, row.figure, row.bound, "" if row.holds else "MISSED", flush=True)
    return row.holds


@contextmanager
def sqlite() -> Iterator[Iterator[str]]:
    """Files for ledgers."""
    with tempfile.TemporaryDirectory() as folder:
        yield (f"sqlite:///{folder}/{number}.db" for number in range(1_000))


@contextmanager
def postgres() -> Iterator[Iterator[str]]:
    """Databases of a server of its own."""
    with Server(Path(tempfile.gettempdir())) as server:
        yield (Database(server).url for _ in range(1_000))


HOMES: Final = {"sqlite": sqlite, "postgres": postgres}


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.steps", description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--home", choices=tuple(HOMES), help="this one alone")
    chosen = parser.parse_args()
    holds = True
    for home, made in HOMES.items():
        if chosen.home in (None, home):
            with made() as ledgers:
                holds &= uvloop.run(measure(home, ledgers, chosen.tasks, chosen.rounds))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
