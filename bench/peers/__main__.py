"""Unlost on PostgreSQL beside Procrastinate and graphile-worker, and beside its own SQLite home.

    python -m bench.peers [--rounds 5] [--tasks 20000] [--embedded]

One server, on disk, and one run, in turns.  Each queue gets two worker processes and tasks that do
nothing, with its defaults and with more at once; its best median counts.  graphile-worker runs
unbatched, as by default.  What each one does for a task differs: unlost and Procrastinate keep it
with its history, graphile-worker deletes it.  The single submits go over HTTP, on 64 connections,
to `unlost api`; both homes are on the same disk.  Exit status 1 if a bound is missed.

With `--embedded` it is the SQLite home beside BullMQ, taskiq, Celery and Huey, each on a Redis that
syncs before it answers (`bench.peers.embedded`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from bench.peers.embedded import packages as embedded_packages
from bench.peers.embedded import race as embedded
from bench.peers.packages import install
from bench.peers.queues import Graphile, Procrastinate, Queue, Unlost
from bench.peers.submits import Homes, single_submits
from bench.service import environment
from tests.postgres.databases import Database
from tests.postgres.server import Server

SERVER: Final = {"shared_buffers": "512MB", "max_wal_size": "4GB", "max_connections": "100"}

BOUNDS: Final[dict[type[Queue], float]] = {Procrastinate: 5.0, Graphile: 1.0}
"""How many times as fast as this peer unlost has to be."""

OF_SQLITE: Final = 0.6


def entrants(server: Server, many: int) -> list[Queue]:
    """The queues, each with its defaults and with what its documentation advises, or more."""
    return [
        *(Unlost(Database(server), at_once, many) for at_once in (32, 200)),
        *(Procrastinate(Database(server), at_once, many // 10) for at_once in (1, 10, 30)),
        *(Graphile(Database(server), at_once, many // 2) for at_once in (10, 24)),
    ]


async def race(queues: list[Queue], rounds: int) -> dict[Queue, list[float]]:
    """Rates, one a round."""
    rates: dict[Queue, list[float]] = {queue: [] for queue in queues}
    for queue in queues:
        await queue.prepare()
    for _ in range(rounds):
        for queue in queues:
            rates[queue].append(await queue.round())
    return rates


def best(rates: dict[Queue, list[float]], kind: type[Queue]) -> float:
    """The best median of a kind of queue."""
    return max(median(found) for queue, found in rates.items() if isinstance(queue, kind))


def report(rates: dict[Queue, list[float]], homes: Homes) -> bool:
    """Print the tables; whether every bound holds."""
    table = Table("two worker processes", "tasks/s (median)", "lowest to highest")
    for queue, found in rates.items():
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        table.add_row(queue.name, f"{median(found):,.0f}", spread)
    ours = best(rates, Unlost)
    ratios = [
        (f"no-op tasks : {kind.__name__}'s", ours / best(rates, kind), bound)
        for kind, bound in BOUNDS.items()
    ]
    ratios.append(("single submits over HTTP : the SQLite home's", homes.ratio, OF_SQLITE))
    judged = Table("unlost on PostgreSQL", "ratio", "bound", "", title=environment())
    for what, ratio, bound in ratios:
        judged.add_row(what, f"{ratio:.2f}", f"≥ {bound}", "" if ratio >= bound else "MISSED")
    Console().print(table, homes.told(), judged)
    return all(ratio >= bound for _, ratio, bound in ratios)


async def measure(server: Server, folder: Path, many: int, rounds: int) -> bool:
    """Everything, in one run."""
    homes = await single_submits(server, folder, many // 2, rounds)
    return report(await race(entrants(server, many), rounds), homes)


def main() -> int:
    """Install the peers, run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000, help="tasks a round, for unlost")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--embedded", action="store_true", help="the SQLite home's peers, on Redis")
    chosen = parser.parse_args()
    place = Path(tempfile.gettempdir())
    if chosen.embedded:
        embedded_packages.install()
        with tempfile.TemporaryDirectory() as folder:
            race_of_embedded = embedded.race(Path(folder), chosen.tasks // 10, chosen.rounds)
            Console().print(uvloop.run(race_of_embedded))
        return 0
    install()
    with Server(place, **SERVER) as server, tempfile.TemporaryDirectory() as folder:
        good = uvloop.run(measure(server, Path(folder), chosen.tasks, chosen.rounds))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
