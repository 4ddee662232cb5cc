"""Unlost on PostgreSQL beside PgQueuer, graphile-worker, pg-boss, awa, Oban for Python and
Procrastinate, and beside its own SQLite home.

    python -m bench.peers [--rounds 5] [--tasks 100000] [--against PATH] [--keep] [--embedded]

One server, on disk, and one run, in turns: each round gives each queue a new database and, in it,
single calls by one client, calls for many, two worker processes for the backlog, and then tasks at
a steady rate.  Versions are pinned (`bench.peers.packages`); settings are those that each one's own
pages advise (`bench/peers/programs`).  Figures are medians of rounds, of
which as many are run as fit into 17 minutes.

What each one does for a task differs.  unlost, Oban, pg-boss, awa and Procrastinate keep it when it
is over, for a time or for ever; PgQueuer keeps a line in a log, graphile-worker nothing.  Calls are
made in the client's own process, but to unlost over HTTP (its ledger's call without HTTP is told as
well); PgQueuer's is also made in the route of a bare ASGI app.  Requests over HTTP are made before
they are timed, and sent over plain sockets: that takes 0.13 µs a task of a batch.  Where a queue
would need minutes for its tasks it gets fewer, and is judged by what it did in 45 seconds.

`--against` adds another checkout of unlost, `--keep` adds the tables to bench/RESULTS.md.  Exit
status 1 if a bound is missed.  With `--embedded` it is the SQLite home beside BullMQ, taskiq,
Celery and Huey, each on a Redis that syncs before it answers (`bench.peers.embedded`).
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console

from bench.builds import Build, builds
from bench.guard import RESULTS
from bench.peers import packages, table
from bench.peers.embedded import packages as embedded_packages
from bench.peers.embedded import race as embedded
from bench.peers.entrant import Entrant, Turn
from bench.peers.ours import Unlost
from bench.peers.submits import single_submits
from bench.peers.theirs import PEERS
from bench.peers.turn import turn
from bench.service import environment
from tests.postgres.server import Server

SERVER: Final = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "max_connections": "200",
    "autovacuum_naptime": "5s",  # so that it comes in every turn, and is nobody's bad luck
}

OF_SQLITE: Final = 0.6
SECONDS: Final = 17 * 60.0
"""For all rounds."""

HOMES: Final = 5_000
"""Single submits a round to each home."""

JUDGED: Final = ("unlost on PostgreSQL", "figure", "bound", "")


def entrants(every: list[Build]) -> list[Entrant]:
    """unlost, and those peers that can run here."""
    ours = [Unlost(build) for build in every]
    return [*ours, *(peer for peer in PEERS if packages.runs_here(peer.program))]


async def race(
    every: list[Entrant], server: Server, folder: Path, tasks: int, rounds: int
) -> dict[str, list[Turn]]:
    """Their turns; each round begins with another, and none is begun that would end too late.
    A peer that fails is out of the race, and what it has no figures for is a bound missed."""
    turns: dict[str, list[Turn]] = {entrant.name: [] for entrant in every}
    out: list[Entrant] = []
    began = time.monotonic()
    for number in range(rounds):
        if number and (time.monotonic() - began) * (number + 1) / number > SECONDS:
            break
        first = number % len(every)
        for entrant in [*every[first:], *every[:first]]:
            if entrant in out:
                continue
            print(f"round {number + 1} of {rounds}: {entrant.name}", flush=True)
            try:
                turns[entrant.name].append(await turn(entrant, server, folder, tasks))
            except (RuntimeError, TimeoutError) as error:
                if entrant is every[0]:
                    raise
                print(f"{entrant.name} is out: {error!r}", flush=True)
                out.append(entrant)
    return turns


async def measure(
    server: Server, folder: Path, every: list[Build], tasks: int, rounds: int
) -> tuple[table.Turns, list[table.Bound]]:
    """Everything, in one run."""
    homes = await single_submits(server, folder, min(HOMES, tasks), rounds)
    print(homes.told(), flush=True)
    queues = entrants(every)
    turns = await race(queues, server, folder, tasks, rounds)
    ours, against = queues[0].name, queues[1].name if len(every) > 1 else None
    judged = table.bounds(turns, ours, against)
    what = "single submits over HTTP, 64 clients : the SQLite home's"
    return turns, [*judged, table.Bound(what, homes.ratio, OF_SQLITE)]


def tell(turns: table.Turns, judged: list[table.Bound], *, keep: bool) -> None:
    """Print the tables, and keep them if asked to."""
    day, rounds = dt.datetime.now(dt.UTC).date().isoformat(), len(next(iter(turns.values())))
    told = "\n\n".join(
        [
            "# Beside other queues on PostgreSQL",
            f"{day}, {environment()}; medians of rounds: {rounds}.",
            table.markdown(table.COLUMNS, table.rows(turns)),
            table.markdown(JUDGED, [bound.cells for bound in judged]),
        ]
    )
    print(f"\n{told}", flush=True)
    if keep:
        with RESULTS.open("a") as file:
            file.write(f"\n{told}\n")


def main() -> int:
    """Install the peers, run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000, help="tasks a turn")
    parser.add_argument("--rounds", type=int, default=5, help="fewer if time is over")
    parser.add_argument("--against", type=Path, help="another checkout, measured in turns")
    parser.add_argument("--keep", action="store_true", help="add the tables to bench/RESULTS.md")
    parser.add_argument("--embedded", action="store_true", help="the SQLite home's peers, on Redis")
    chosen = parser.parse_args()
    if chosen.embedded:
        embedded_packages.install()
        with tempfile.TemporaryDirectory() as folder:
            race_of_embedded = embedded.race(Path(folder), chosen.tasks // 50, chosen.rounds)
            Console().print(uvloop.run(race_of_embedded))
        return 0
    packages.install()
    place = Path(tempfile.gettempdir())
    with Server(place, **SERVER) as server, tempfile.TemporaryDirectory() as folder:
        every = builds(chosen.against)
        turns, judged = uvloop.run(
            measure(server, Path(folder), every, chosen.tasks, chosen.rounds)
        )
    tell(turns, judged, keep=chosen.keep)
    return 0 if all(bound.holds for bound in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
