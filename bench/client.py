"""`AsyncClient.submit_many` beside raw NDJSON batches that were made before, in one run.

    python -m bench.client [--tasks 50000] [--rounds 5]

The bound: 0.9 of the raw rate.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

import uvloop

from bench.load import drive, request
from bench.measures import PAYLOAD, READY, bodies
from bench.service import running
from tests.ports import free_port
from unlost import AsyncClient
from unlost.client import NewTask
from unlost.client.core.batches import MOST

BOUND: Final = 0.9
AT_ONCE: Final = 4


async def raw(port: int, count: int, prefix: str) -> float:
    """Tasks a second in batches that are ready to be sent."""
    lines = bodies(count, prefix)
    wires = [
        request("/tasks/batch", b"\n".join(lines[start : start + MOST]), "application/x-ndjson")
        for start in range(0, count, MOST)
    ]
    result = await drive(port, wires, AT_ONCE)
    if result.refused:
        raise RuntimeError(f"{result.refused} batches were refused")
    return count / result.seconds


async def by_client(port: int, count: int, prefix: str) -> float:
    """Tasks a second through the client, from values to results."""

    def tasks() -> Iterator[NewTask]:
        for number in range(count):
            yield {"task_id": f"{prefix}-{number}", "payload": PAYLOAD}

    async with AsyncClient(f"http://127.0.0.1:{port}") as client:
        began, accepted = time.perf_counter(), 0
        async for result in client.submit_many(tasks()):
            accepted += result.status == 202
        seconds = time.perf_counter() - began
    if accepted < count:
        raise RuntimeError(f"{count - accepted} tasks were not accepted")
    return count / seconds


async def measure(folder: Path, count: int, rounds: int) -> list[tuple[float, float]]:
    """The raw rate and the client's, in turns; the first round warms up."""
    port = free_port()
    command = ("unlost", "api", "--port", str(port), "--ledger", f"sqlite:///{folder}/client.db")
    found = []
    async with running(*command, ready=READY):
        for turn in range(-1, rounds):
            rates = await raw(port, count, f"raw-{turn}"), await by_client(port, count, f"c-{turn}")
            if turn >= 0:
                found.append(rates)
    return found


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.client", description=__doc__)
    parser.add_argument("--tasks", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the ledger lies (its disk counts)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = uvloop.run(measure(Path(folder), chosen.tasks, chosen.rounds))
    share = median(ours / theirs for theirs, ours in found)
    print(f"NDJSON batches: {median(one for one, _ in found):,.0f} tasks/s")
    print(f"AsyncClient.submit_many: {median(one for _, one in found):,.0f} tasks/s")
    print(f"the client's rate : the raw one: {share:.2f} (bound: {BOUND})")
    return 0 if share >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
