"""One turn of one entrant, in a new database of the server that all share."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import msgspec
import psutil

from bench.peers.entrant import Entrant, Service, Turn, Workers
from bench.peers.ran import Ran
from bench.service import memory_of_tree
from tests.postgres.server import Server

CALLS: Final = 1000
"""Single calls, of each kind."""

RATE: Final = 200
PACED: Final = 5 * RATE

LIMIT: Final = 45.0
"""Seconds after which a backlog that is not worked off counts as far as it is."""

DATABASE: Final = "peer"

BACKENDS: Final = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Submitted(msgspec.Struct, frozen=True):
    """The rates of submits; None where there is no such call."""

    single: float | None
    single_http: float | None
    bulk: float | None
    bulk_http: float | None


async def turn(entrant: Entrant, server: Server, folder: Path, tasks: int) -> Turn:
    """Everything that is measured, from empty tables on."""
    with server.connect() as db:
        db.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        db.execute(f"CREATE DATABASE {DATABASE}")
        db.execute("CHECKPOINT")  # so that nobody pays for what was written before
    url, file = server.url(DATABASE), folder / "ran"
    file.write_bytes(b"")
    ran = Ran(file)
    await entrant.prepare(url)
    async with entrant.serving(url) as service:
        submitted = await submits(service, int(tasks * entrant.share))
        async with entrant.working(url, file) as workers:
            noops, done = await work_off(server, entrant, workers, ran)
            took = await starts(service, workers, ran) if done else []
            trees = sum(memory_of_tree(pid) for pid in [*service.pids, *workers.pids])
            return Turn(
                **msgspec.structs.asdict(submitted),
                noops=noops,
                start_p50=took[len(took) // 2] * 1e3 if took else None,
                start_p99=took[int(0.99 * len(took))] * 1e3 if took else None,
                processes=trees,
                backends=memory_of_backends(server),
            )


async def submits(service: Service, tasks: int) -> Submitted:
    """Single calls, and then so many tasks by calls for many, half of them by each kind if there
    are two."""
    single = await service.single(CALLS)
    single_http = await service.single_http(CALLS)
    half = tasks // 2
    bulk_http = await service.bulk_http(half)
    rest = tasks if bulk_http is None else tasks - half
    bulk = await service.bulk(rest)
    return Submitted(
        rate(CALLS, single), rate(CALLS, single_http), rate(rest, bulk), rate(half, bulk_http)
    )


def rate(count: int, seconds: float | None) -> float | None:
    """So many a second."""
    return None if seconds is None else count / seconds


async def work_off(
    server: Server, entrant: Entrant, workers: Workers, ran: Ran
) -> tuple[float, bool]:
    """Tasks a second, from the first one's start until none is left or its time is over, and
    whether none is left.  The database is only asked once all have started."""
    with server.connect(DATABASE) as db:
        found = db.execute(f"SELECT count(*) FROM {entrant.left}").fetchone()
        waiting = 0 if found is None else int(found[0])
        patience = time.time() + LIMIT
        while ran.started < waiting or db.execute(left(entrant)).fetchone() is not None:
            if time.time() > patience:
                break
            await asyncio.sleep(0.02)
            workers.check()
            ran.look()
        else:
            return waiting / (time.time() - ran.first), True
    return ran.started / (time.time() - ran.first), False


def left(entrant: Entrant) -> str:
    """Asks for one of its rows that is left."""
    return f"SELECT FROM {entrant.left} LIMIT 1"


async def starts(service: Service, workers: Workers, ran: Ran) -> list[float]:
    """Seconds from each call to its task's start, sorted, when little else is to be done."""
    await service.pace(PACED, RATE)
    async with asyncio.timeout(LIMIT):
        while len(ran.took) < PACED:
            await asyncio.sleep(0.05)
            workers.check()
            ran.look()
    return sorted(ran.took)


def memory_of_backends(server: Server) -> float:
    """MiB that the server's processes of this database's connections have for themselves."""
    with server.connect(DATABASE) as db:
        pids = [pid for (pid,) in db.execute(BACKENDS)]
    return sum(map(_own, pids)) / 2**20


def _own(pid: int) -> int:
    """Bytes that a process has for itself."""
    try:
        return int(psutil.Process(pid).memory_full_info().uss)
    except psutil.NoSuchProcess:  # its connection has ended since
        return 0
