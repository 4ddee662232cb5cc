"""The embedded home beside queues on a Redis that syncs before it answers, in one run, in turns.

A call of a peer is made in the client's own process; ours go over HTTP, as our clients do, and in a
row of its own in process.  One client calls one after the other.  No-ops are worked off by two
worker processes; what is over is kept by us with its history, and by none of the peers.  A peer
that is slow, as most are on a busy machine, is judged by what it did in its time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from rich.table import Table

from bench import measures
from bench.builds import THIS
from bench.measures import PAYLOAD
from bench.peers.embedded.backlog import Backlog
from bench.peers.embedded.packages import NODE_BINARY, ask, environment, server
from bench.peers.processes import output, running
from unlost.ledger.opening import open_ledger
from unlost.task import Submission

HERE: Final = Path(__file__).parent
PYTHON: Final = [sys.executable, str(HERE / "python_peers.py")]
NODE: Final = [str(NODE_BINARY), str(HERE / "bullmq.cjs")]

SUBMITTING: Final = 20.0
"""Seconds for a client's calls, however many it has made by then."""

STREAM: Final = """
local groups = redis.call('XINFO', 'GROUPS', 'taskiq')
if #groups == 0 then return redis.call('XLEN', 'taskiq') end
local found = {}
for i = 1, #groups[1], 2 do found[groups[1][i]] = groups[1][i + 1] end
return found['pending'] + (found['lag'] or 0)
"""


class Peer(msgspec.Struct, frozen=True):
    """A queue on Redis: what runs it, and a script that counts what is not over."""

    name: str
    command: list[str]
    left: str


PEERS: Final = (
    Peer("BullMQ", [*NODE, "bullmq"],
         "return redis.call('LLEN', 'bull:peer:wait') + redis.call('LLEN', 'bull:peer:active')"),
    Peer("taskiq, streams", [*PYTHON, "taskiq"], STREAM),
    Peer("Celery", [*PYTHON, "celery"],
         "return redis.call('LLEN', 'celery') + redis.call('HLEN', 'unacked')"),
    Peer("Huey", [*PYTHON, "huey"], "return redis.call('LLEN', 'huey.redis.peer')"),
)  # fmt: skip


class Calls(msgspec.Struct, frozen=True):
    """Calls one after the other: a second, and the median in microseconds."""

    rate: float
    p50: float


def calls(taken: list[float]) -> Calls:
    """What the seconds of some calls add up to."""
    return Calls(len(taken) / sum(taken), median(taken) * 1e6)


async def over_http(folder: Path, count: int) -> Calls:
    """Our calls, as a client makes them."""
    found = await measures.single_submits(folder, [THIS], 1, count, 1)
    return calls(found.builds[0][0].latencies)


async def in_process(folder: Path, count: int) -> Calls:
    """Our ledger's, without HTTP."""
    ledger = await open_ledger(f"sqlite:///{folder}/process-{time.time_ns()}.db")
    taken, payload = [], json.dumps(PAYLOAD)
    for number in range(count):
        began = time.perf_counter()
        await ledger.submit([Submission(f"t{number}", payload, b"x" * 32)])
        taken.append(time.perf_counter() - began)
    await ledger.close()
    return calls(taken)


async def of_peer(
    peer: Peer, folder: Path, count: int, jobs: int, processes: int = 2
) -> tuple[Calls, float]:
    """A peer's calls, and the no-ops a second that two of its processes work off, or so many where
    each of them is one process."""
    place = folder / f"{peer.name}-{time.time_ns()}"
    place.mkdir()
    async with server(place) as port:
        surroundings = environment(f"redis://127.0.0.1:{port}")

        async def submit(many: int) -> list[float]:
            what = ("submit", str(many), str(SUBMITTING), json.dumps(PAYLOAD))
            said = await output([*peer.command, *what], surroundings)
            return msgspec.json.decode(said, type=list[float])

        found = calls(await submit(count))
        await submit(jobs - count)
        many = processes if peer.command[0] == str(NODE_BINARY) else 1  # others make their own two
        return found, await _worked_off(peer, port, surroundings, many)


async def _worked_off(peer: Peer, port: int, surroundings: dict[str, str], processes: int) -> float:
    backlog = Backlog(time.perf_counter(), await ask(port, peer.left) or 0)
    async with running([*peer.command, "work"], surroundings, processes) as workers:
        while not backlog.over:
            await asyncio.sleep(0.02)
            workers.check()
            backlog.saw(time.perf_counter(), await ask(port, peer.left))
    return backlog.rate


async def race(folder: Path, count: int, rounds: int) -> Table:
    """The table: medians of rounds."""
    ours: dict[str, Callable[[Path, int], Awaitable[Calls]]] = {
        "unlost, over HTTP": over_http, "unlost, in process": in_process,
    }  # fmt: skip
    made: dict[str, list[Calls]] = {}
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, run in ours.items():
            made.setdefault(name, []).append(await run(folder, count))
        first = next(iter(ours))
        rates.setdefault(first, []).append(await measures.processing(folder, THIS, 10 * count))
        for peer in PEERS:
            found, rate = await of_peer(peer, folder, count, 3 * count)
            made.setdefault(peer.name, []).append(found)
            rates.setdefault(peer.name, []).append(rate)
    table = Table("", "calls/s, one after the other", "p50, µs", "no-ops/s")
    for name, each in made.items():
        noops = f"{median(rates[name]):,.0f}" if name in rates else ""
        called, p50 = median(c.rate for c in each), median(c.p50 for c in each)
        table.add_row(name, f"{called:,.0f}", f"{p50:,.0f}", noops)
    return table
