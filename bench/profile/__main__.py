"""Where one submit's time goes, for one client and for 64, microsecond by microsecond.

    python -m bench.profile [--count 5000] [--folder FOLDER]

Medians of each stage; what the client waits for beyond them is the system's: sockets, and waking
the processes.  Beside it stand the two yardsticks that no submit can go below: the bare ASGI app,
and the disk's own sync after as many bytes as a submit writes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from bench.load import Result, drive, request
from bench.measures import READY, bodies, sync
from bench.profile.served import STAGES, Notes
from bench.service import cpu_seconds, environment, running
from tests.ports import free_port

CLIENTS: Final = (1, 64)
WARM: Final = 500


class Profile(msgspec.Struct, frozen=True):
    """What a run of submits gave: what the client saw, the notes, CPU seconds a submit."""

    seen: Result
    notes: list[Notes]
    cpu: float

    def stage(self, before: str, after: str) -> float:
        """The median of a stage, in microseconds."""
        return statistics.median(one[after] - one[before] for one in self.notes) / 1000


async def profile(folder: Path, clients: int, count: int) -> Profile:
    """Submit so many tasks over so many connections."""
    file, port = folder / f"profile-{clients}.db", free_port()
    command = ("bench.profile.served", str(port), str(file))
    async with running(*command, ready=READY) as pid:
        await drive(port, [request("/tasks", body) for body in bodies(WARM, "w")], clients)
        wires = [request("/tasks", body) for body in bodies(count, "p")]
        before = cpu_seconds(pid)
        seen = await drive(port, wires, clients)
        cpu = (cpu_seconds(pid) - before) / count
    lines = Path(f"{file}.notes").read_bytes().splitlines()
    return Profile(seen, [msgspec.json.decode(line, type=Notes) for line in lines[WARM:]], cpu)


async def bare(clients: int, count: int) -> Result:
    """The bare app's answers."""
    port = free_port()
    async with running("bench.bare", "--port", str(port), port=port):
        wires = [request("/tasks", body) for body in bodies(count, "b")]
        await drive(port, wires[:WARM], clients)
        return await drive(port, wires, clients)


def table(profiles: dict[int, Profile]) -> Table:
    """The stages, a column a number of clients."""
    heads = [f"{clients} client{'s' * (clients > 1)}, µs" for clients in profiles]
    made = Table("until", "", *heads, title=f"one submit — {environment()}")
    names = ["came", *STAGES]
    for before, after in pairwise(names):
        figures = [f"{one.stage(before, after):.1f}" for one in profiles.values()]
        made.add_row(after, STAGES[after], *figures)
    return made


def totals(profiles: dict[int, Profile], yardsticks: dict[int, Result], synced: float) -> Table:
    """What the stages add up to, and the yardsticks."""
    made = Table("", *(str(clients) for clients in profiles))

    def row(name: str, figures: list[float], form: str = ",.0f") -> None:
        made.add_row(name, *(format(figure, form) for figure in figures))

    every = list(profiles.values())
    within = [one.stage("came", "answered") for one in every]
    row("the service, from socket to socket, µs", within)
    row("the client waits, p50, µs", [one.seen.quantile(0.5) * 1e6 for one in every])
    row("the bare app's p50, µs", [one.quantile(0.5) * 1e6 for one in yardsticks.values()])
    row("fdatasync alone, p50, µs", [synced * 1e6] * len(every))
    row("submits in a commit", [statistics.mean(n["together"] for n in one.notes) for one in every],
        ".1f")  # fmt: skip
    row("CPU a submit, µs", [one.cpu * 1e6 for one in every])
    row("submits/s", [one.seen.rate for one in every])
    return made


async def measure(folder: Path, count: int) -> list[Table]:
    """Both tables."""
    profiles = {clients: await profile(folder, clients, count) for clients in CLIENTS}
    yardsticks = {clients: await bare(clients, count) for clients in CLIENTS}
    return [table(profiles), totals(profiles, yardsticks, sync(folder))]


def main() -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("--count", type=int, default=5_000, help="submits a run")
    parser.add_argument("--folder", type=Path, help="where the ledger lies (its disk counts)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        for made in uvloop.run(measure(Path(folder), chosen.count)):
            Console().print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
