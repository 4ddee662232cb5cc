"""Handlers by pull: a Node worker beside BullMQ, `unlost worker --url` beside the local worker.

    python -m bench.pull [--tasks 20000] [--rounds 5] [--concurrency 200]

One run, in turns, on SQLite: no-ops a second from the first start to the last settlement, with one
worker process each; BullMQ's Redis syncs before it answers.  Then the milliseconds from acceptance
to start, at a steady rate on an otherwise idle service.  The bounds: the Node worker at 0.65 of
BullMQ's rate; `unlost worker --url` at half the local worker's rate, and twice its time to start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from bench.builds import THIS
from bench.measures import READY, bodies, call_steadily, rows, submit_in_batches
from bench.peers.embedded import packages
from bench.peers.embedded.race import PEERS, of_peer
from bench.service import environment, running
from tests.ports import free_port
from unlost.task import SECOND

OF_BULLMQ: Final = 0.65
OF_LOCAL: Final = 0.5
LATER: Final = 2.0
PROGRAM: Final = Path(__file__).parent / "pull_worker.mjs"
BUILT: Final = "clients/typescript/dist/index.js"
HANDLER: Final = ("--handler", "bench.handlers:handlers", "--workers", "1")
STARTED: Final = b"unlost worker is ready"

NODE, LOCAL, BY_URL, BULLMQ = "one Node worker", "local worker", "unlost worker --url", "BullMQ"

Working = Callable[[Path, int], contextlib.AbstractAsyncContextManager[int]]
"""Works off a ledger's file with so many at once; the port of the service."""


@contextlib.asynccontextmanager
async def _node(file: Path, at_once: int) -> AsyncIterator[int]:
    """A service without handlers, and a Node worker."""
    async with _service(file, "--handler", "none") as port:
        process = await asyncio.create_subprocess_exec(
            str(packages.NODE_BINARY), str(PROGRAM), str(at_once),
            env=packages.environment("") | {"UNLOST_URL": f"http://127.0.0.1:{port}"},
        )  # fmt: skip
        try:
            yield port
        finally:
            process.terminate()
            await process.wait()


@contextlib.asynccontextmanager
async def _local(file: Path, at_once: int) -> AsyncIterator[int]:
    """A service whose worker has the ledger."""
    async with _service(file, *HANDLER, "--concurrency", str(at_once)) as port:
        yield port


@contextlib.asynccontextmanager
async def _by_url(file: Path, at_once: int) -> AsyncIterator[int]:
    """A service without handlers, and a worker that has its URL."""
    async with _service(file, "--handler", "none") as port:
        url = f"http://127.0.0.1:{port}"
        command = ("unlost", "worker", "--url", url, *HANDLER, "--concurrency", str(at_once))
        async with running(*command, ready=STARTED):
            yield port


@contextlib.asynccontextmanager
async def _service(file: Path, *flags: str) -> AsyncIterator[int]:
    port = free_port()
    command = ("unlost", "serve", "--port", str(port), "--ledger", f"sqlite:///{file}", *flags)
    async with running(*command, ready=READY):
        yield port


def _file(folder: Path) -> Path:
    return folder / f"pull-{free_port()}.db"


async def rate(folder: Path, working: Working, count: int, at_once: int) -> float:
    """No-ops a second."""
    file = _file(folder)
    await submit_in_batches(THIS, f"sqlite:///{file}", count)
    async with working(file, at_once):
        while rows(file, "SELECT settled FROM tally")[0] != (count,):  # noqa: ASYNC110 - another's
            await asyncio.sleep(0.05)
    [(first, last)] = rows(file, "SELECT min(started_at), max(finished_at) FROM attempt")
    return float(count / ((last - first) / SECOND))


async def start(folder: Path, working: Working, calls: int, a_second: int) -> float:
    """Milliseconds from acceptance to start, the median."""
    file = _file(folder)
    async with working(file, 8) as port:
        await call_steadily(port, bodies(calls, "s"), a_second)
        while rows(file, "SELECT settled FROM tally")[0] != (calls,):  # noqa: ASYNC110 - another's
            await asyncio.sleep(0.05)
    waits = rows(file, "SELECT started_at - submitted_at FROM task")
    return median(wait for (wait,) in waits) / 1000


async def race(folder: Path, tasks: int, rounds: int, at_once: int) -> bool:
    """Measure in turns, print, judge."""

    def noops(working: Working) -> Callable[[], Awaitable[float]]:
        return lambda: rate(folder, working, tasks, at_once)

    async def bullmq() -> float:
        return (await of_peer(PEERS[0], folder, tasks // 10, tasks, processes=1))[1]

    races = {NODE: noops(_node), BULLMQ: bullmq, LOCAL: noops(_local), BY_URL: noops(_by_url)}
    rates: dict[str, list[float]] = {name: [] for name in races}
    starts: dict[str, list[float]] = {LOCAL: [], BY_URL: []}
    for _ in range(rounds):
        for name, measure in races.items():
            rates[name].append(await measure())
        for name, working in ((LOCAL, _local), (BY_URL, _by_url)):
            starts[name].append(await start(folder, working, 200, 50))
    table = Table("one worker process", "no-ops/s", "lowest to highest", "start p50, ms")
    for name, found in rates.items():
        began = f"{median(starts[name]):.1f}" if name in starts else ""
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        table.add_row(name, f"{median(found):,.0f}", spread, began)
    Console().print(table)
    each = {name: median(found) for name, found in rates.items()}
    later = median(starts[BY_URL]) / median(starts[LOCAL])
    bounds = (
        (f"{NODE} : {BULLMQ}", each[NODE] / each[BULLMQ], OF_BULLMQ),
        (f"{BY_URL} : {LOCAL}", each[BY_URL] / each[LOCAL], OF_LOCAL),
    )
    for name, share, bound in bounds:
        print(f"{name}: {share:.2f} (bound: {bound})")
    print(f"to start, {BY_URL} : {LOCAL}: {later:.2f} (bound: {LATER})")
    return all(share >= bound for _, share, bound in bounds) and later <= LATER


def main() -> int:
    """Measure in turns, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.pull", description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where ledgers lie; left out, a temporary one")
    chosen = parser.parse_args()
    if not (Path(__file__).parents[1] / BUILT).exists():
        parser.error(f"{BUILT} is not there yet: `make test` builds it")
    packages.install()
    print(environment())
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        held = uvloop.run(race(Path(folder), chosen.tasks, chosen.rounds, chosen.concurrency))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
