"""What schedules cost, on SQLite and PostgreSQL: many ticks at one moment, and none at all.

    python -m bench.schedules [--schedules 10000] [--seconds 60] [--home sqlite] [--only ticks|idle]

Ticks: 10,000 schedules of `* * * * *` beside a service: how late after the minute the last of
their tasks is accepted, and a submit's p99 meanwhile beside what it is before.  Idle: 10,000 of
which none is due: the CPU time of the service (on PostgreSQL with the server's) over a minute
beside the same service without them.  Each takes less than three minutes a home.
"""

from __future__ import annotations

import argparse
import asyncio
import calendar
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import uvloop

from bench.load import Result, drive, request
from bench.measures import HANDLER, READY, bodies
from bench.service import cpu_seconds, running
from tests.ports import free_port
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.ledger.opening import open_ledger
from unlost.schedule import acting
from unlost.schedule.planned import times_of, tzdata
from unlost.schedule.schedule import Plan

EVERY_MINUTE: Final = "* * * * *"
YEARLY: Final = "@yearly"
AT_ONCE: Final = 500
PAGE: Final = 500
SETTLING: Final = 5.0
PATIENCE: Final = 170.0


class Home(NamedTuple):
    """Where ledgers are: `servers` are the processes of their database."""

    name: str
    ledgers: Iterator[str]
    servers: Sequence[int] = ()


@asynccontextmanager
async def service(ledger: str) -> AsyncIterator[tuple[httpx.AsyncClient, int, int]]:
    """A service on this ledger; its client, port and process id."""
    port = free_port()
    command = ("unlost", "serve", "--port", str(port), "--ledger", ledger, *HANDLER)
    url = f"http://127.0.0.1:{port}"
    async with (
        running(*command, ready=READY) as pid,
        httpx.AsyncClient(base_url=url, timeout=60) as client,
    ):
        yield client, port, pid


async def put(url: str, many: int, cron: str) -> None:
    """Set so many schedules, past the service: how long that takes is not what is measured."""
    plan = Plan(type="default", payload="{}", digest=bytes(32), cron=cron)
    ledger = await open_ledger(url)
    now, _ = await ledger.schedule("")
    moves = [
        acting.created(f"s{number}", plan, times_of(plan), now, tzdata(), paused=False)
        for number in range(many)
    ]
    for at in range(0, many, AT_ONCE):
        await ledger.move_schedules(moves[at : at + AT_ONCE])
    await ledger.close()


async def submits(port: int, prefix: str, seconds: float) -> Result:
    """Single submits, one after the other, for so long."""
    until = time.monotonic() + seconds
    found: list[Result] = []
    while time.monotonic() < until:
        wires = [request("/tasks", body) for body in bodies(200, f"{prefix}-{len(found)}")]
        found.append(await drive(port, wires, 1))
    latencies = sorted(one for result in found for one in result.latencies)
    spent = sum(result.seconds for result in found)
    return Result(len(latencies), spent, latencies, sum(one.refused for one in found))


async def ticking(ledger: str, many: int) -> str:
    """A minute that all are due at."""
    async with service(ledger) as (client, port, _):
        await put(ledger, many, EVERY_MINUTE)
        await asyncio.sleep(_to_the_minute() + SETTLING)  # the first is not what is measured
        await _at_rest(client)
        alone = await submits(port, "alone", SETTLING)
        await asyncio.sleep(_to_the_minute())
        minute = round(time.time() / 60) * 60
        beside = await submits(port, "beside", SETTLING)
        late = await _lateness(client, minute, many)
    p99 = [one.quantile(0.99) * 1000 for one in (alone, beside)]
    return (
        f"{many:,} ticks of one minute: the last accepted after {late:.2f} s (bound: 3 s);"
        f" submit p99 {p99[0]:.2f} ms before, {p99[1]:.2f} ms beside them"
        f" ({p99[1] / p99[0]:.2f} times, bound: 3)"
    )


async def _at_rest(client: httpx.AsyncClient) -> None:
    """Wait until no task is left, with time for a measurement before the next minute."""
    until = time.monotonic() + PATIENCE
    while True:
        stats = (await client.get("/stats")).raise_for_status().json()
        if not stats["outstanding"] and _to_the_minute() > 2 * SETTLING:
            return
        if time.monotonic() > until:
            raise RuntimeError(f"{stats['outstanding']} tasks are left after {PATIENCE:g} s")
        await asyncio.sleep(0.5)


def _to_the_minute() -> float:
    return 60 - time.time() % 60


async def _lateness(client: httpx.AsyncClient, minute: int, many: int) -> float:
    """Seconds from the minute until the last of its tasks was accepted."""
    told = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(minute))
    wanted, cursor, last = {f"s{number}@{told}" for number in range(many)}, None, ""
    while wanted:
        page = {"limit": PAGE} | ({} if cursor is None else {"cursor": cursor})
        answer = (await client.get("/tasks", params=page)).raise_for_status().json()
        found = [task for task in answer["tasks"] if task["taskId"] in wanted]
        wanted.difference_update(task["taskId"] for task in found)
        last = max([last, *(task["submittedAt"] for task in found)])
        cursor = answer["nextCursor"]
        if cursor is None and wanted:
            raise RuntimeError(f"{len(wanted)} tasks of the minute are missing")
    seconds = time.strptime(last[:19], "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(seconds) + float("0" + last[19:-1]) - minute


async def idle(home: Home, many: int, seconds: float) -> float:
    """The share of a core that a service takes that has nothing to do, with so many schedules."""
    ledger = next(home.ledgers)
    async with service(ledger) as (_, _, pid):
        await put(ledger, many, YEARLY)
        await asyncio.sleep(SETTLING)
        pids = [pid, *home.servers]
        before = sum(map(cpu_seconds, pids))
        await asyncio.sleep(seconds)
        return (sum(map(cpu_seconds, pids)) - before) / seconds


async def measure(home: Home, chosen: argparse.Namespace) -> None:
    """Print what was chosen for a home."""
    many, seconds = chosen.schedules, chosen.seconds
    if chosen.only != "idle":
        print(f"{home.name}: {await ticking(next(home.ledgers), many)}", flush=True)
    if chosen.only != "ticks":
        without = await idle(home, 0, seconds)
        with_them = await idle(home, many, seconds)
        print(
            f"{home.name}: idle for {seconds:g} s with {many:,} schedules {with_them:.2%} of a"
            f" core, without {without:.2%} (bound: 1 % more)",
            flush=True,
        )


@contextmanager
def sqlite() -> Iterator[Home]:
    """Files in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        yield Home("sqlite", (f"sqlite:///{folder}/{number}.db" for number in range(3)))


@contextmanager
def postgres() -> Iterator[Home]:
    """Databases of a server of its own."""
    with Server(Path(tempfile.gettempdir())) as server:
        yield Home("postgres", (Database(server).url for _ in range(3)), [server.pid])


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.schedules", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--home", choices=("sqlite", "postgres"), help="this one alone")
    parser.add_argument("--only", choices=("ticks", "idle"), help="this half alone")
    chosen = parser.parse_args()
    for name, opened in (("sqlite", sqlite), ("postgres", postgres)):
        if chosen.home in (None, name):
            with opened() as home:
                uvloop.run(measure(home, chosen))


if __name__ == "__main__":
    main()
