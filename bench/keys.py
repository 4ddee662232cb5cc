"""What keys cost single submits at 64 connections: with keys beside without, in one run.

    python -m bench.keys [--submits 20000] [--rounds 5]

In each round one way goes first and last and the other twice between, in the next the other way
round, so that neither has the better place.  The bound: 0.97 of the rate without.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import uvloop

from bench.load import drive, request
from bench.measures import CONNECTIONS, READY, bodies
from bench.service import cpu_seconds, running
from tests.ports import free_port

BOUND: Final = 0.97
WAYS: Final = ("none", "keys")


class Run(msgspec.Struct, frozen=True):
    """What some submits took; `cpu` is seconds that the service had of the processors."""

    submits: int
    seconds: float
    cpu: float

    def __add__(self, other: Run) -> Run:
        return Run(self.submits + other.submits, self.seconds + other.seconds, self.cpu + other.cpu)

    @property
    def rate(self) -> float:
        """Submits a second."""
        return self.submits / self.seconds


async def measure(folder: Path, submits: int, rounds: int) -> dict[str, list[Run]]:
    """Submits to a service without keys and to one with, in turns; the first round warms up."""
    key = f"unlost_{secrets.token_urlsafe(32)}"
    services: dict[str, tuple[int, int]] = {}  # port and process
    found: dict[str, list[Run]] = {way: [] for way in WAYS}
    async with AsyncExitStack() as stack:
        for way in WAYS:
            port, ledger = free_port(), f"sqlite:///{folder}/{way}.db"
            make_key(ledger, key)
            command = ("unlost", "api", "--port", str(port), "--ledger", ledger, "--auth", way)
            pid = await stack.enter_async_context(running(*command, ready=READY))
            services[way] = port, pid
        for turn in range(rounds + 1):
            order = WAYS if turn % 2 else WAYS[::-1]
            runs: dict[str, list[Run]] = {way: [] for way in WAYS}
            for place, way in enumerate((*order, *reversed(order))):
                tasks = bodies(submits // 2, f"r{turn}-{place}")
                runs[way].append(await submit(*services[way], tasks, key))
            if turn:
                for way, (first, last) in runs.items():
                    found[way].append(first + last)
    return found


async def submit(port: int, pid: int, tasks: list[bytes], key: str) -> Run:
    """Submit these tasks to the service of this process."""
    wires = [request("/tasks", one, key=key) for one in tasks]
    before = cpu_seconds(pid)
    result = await drive(port, wires, CONNECTIONS)
    if result.refused:
        raise RuntimeError(f"{result.refused} answers were no 2xx")
    return Run(result.requests, result.seconds, cpu_seconds(pid) - before)


def make_key(ledger: str, key: str) -> None:
    """Keep this key in a ledger, so that both have the same work to do but for asking."""
    command = (
        "unlost",
        "key",
        "create",
        "--ledger",
        ledger,
        "--name",
        "bench",
        "--scope",
        "submit",
    )
    subprocess.run(
        [sys.executable, "-m", *command, "--secret-file", "-"],
        input=key, text=True, check=True, capture_output=True,
    )  # fmt: skip


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.keys", description=__doc__)
    parser.add_argument("--submits", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(measure(Path(folder), chosen.submits, chosen.rounds))
    without, with_keys = (found[way] for way in WAYS)
    ratio = median(one.rate / other.rate for one, other in zip(with_keys, without, strict=True))
    for way, results in found.items():
        rate = median(run.rate for run in results)
        cpu = median(run.cpu / run.submits for run in results)
        print(f"--auth {way}: {rate:,.0f} submits/s, {cpu * 1e6:.1f} µs of CPU each")
    print(f"with keys beside without: {ratio:.3f} (bound: {BOUND})")
    return 0 if ratio >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
