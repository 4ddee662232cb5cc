"""The whole run: fill and compare at each size, weigh single tasks, print and draw."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from bench import plot
from bench.builds import THIS
from bench.growth.comparing import Beside, compare
from bench.growth.homes import SERVER, Home, PostgresHome, SqliteHome
from bench.growth.space import Space, space
from bench.growth.steps import LISTS, WRITES, Client
from bench.measures import PAYLOAD
from bench.service import environment
from tests.postgres.databases import Database
from tests.postgres.server import Server

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
NEW: Final = (10_000, 4_000)
"""Tasks of the ledger that is all but new, over and waiting: as few as fill each first page, and
give a claim as many of each type as it looks at."""

SHARE: Final = 10
"""For so many tasks that are over, one waits."""

BOUND: Final = 1.3
PAYLOADS: Final = (200, 2_000)


class Stop(msgspec.Struct, frozen=True):
    """What was found with so many tasks over, and how long it took to fill the ledger so far."""

    over: int
    seconds: float
    steps: list[Beside]


class Grown(msgspec.Struct, frozen=True):
    """What was found of one home."""

    home: str
    unit: str
    stops: list[Stop]
    spaces: list[Space]

    @property
    def holds(self) -> bool:
        """Whether every bound does."""
        slow = any(one.times > BOUND for stop in self.stops for one in stop.steps)
        return not slow and all(one.holds for one in self.spaces)


async def grow(new: Home, grown: Home, sizes: Sequence[int], rounds: int) -> list[Stop]:
    """Fill `grown` to each of these sizes in turn, and compare it there with `new`."""
    payload, stops, over, waiting, spent = json.dumps(PAYLOAD), [], 0, 0, 0.0
    for home in (new, grown):
        await _prepare(home, payload)
    new.fill(*NEW, payload)
    for size in sizes:
        began = time.monotonic()
        wait = max(NEW[1], size // SHARE)
        grown.fill(size - over, wait - waiting, payload)
        over, waiting, spent = size, wait, spent + time.monotonic() - began
        async with AsyncExitStack() as stack:
            clients = []
            for home in (new, grown):
                ledger = await home.open()
                stack.push_async_callback(ledger.close)
                clients.append(Client(ledger, Random(size), payload))
            steps = await compare((new, grown), (clients[0], clients[1]), rounds)
        stops.append(Stop(size, spent, steps))
    return stops


async def _prepare(home: Home, payload: str) -> None:
    ledger = await home.open()
    await Client(ledger, Random(0), payload).prepare()
    await ledger.close()


@contextmanager
def homes(kind: str, folder: Path, **settings: str) -> Iterator[list[Home]]:
    """Empty ledgers of one kind: one that stays small, one that grows, one for each payload.
    `settings` are of PostgreSQL's server, in place of SERVER's."""
    names = ["new", "grown", *(f"of{size}" for size in PAYLOADS)]
    if kind == "sqlite":
        with TemporaryDirectory(dir=folder) as place:
            yield [SqliteHome(Path(place) / f"{name}.db") for name in names]
        return
    folder.chmod(0o755)  # the server may have to run as another user
    with Server(folder, **SERVER | settings) as server:
        yield [PostgresHome(Database(server)) for _ in names]


async def measure(
    kinds: Sequence[str], folder: Path, sizes: Sequence[int], rounds: int, tasks: int
) -> list[Grown]:
    """Each kind of home, at each size; of `tasks` worked off, what they take."""
    found = []
    for kind in kinds:
        with homes(kind, folder) as (new, grown, *others):
            spaces = [
                await space(home, payload, tasks)
                for home, payload in zip(others, PAYLOADS, strict=True)
            ]
            stops = await grow(new, grown, sizes, rounds)
            found.append(Grown(new.name, new.unit, stops, spaces))
            show(found[-1])
    return found


def show(grown: Grown) -> None:
    """Print what was found."""
    title = f"unlost {THIS.commit}, {grown.home} — {environment()}"
    table = Table(
        "step", "new", title=title, caption=f"in brackets: {grown.unit}; bound: {BOUND} x"
    )
    for stop in grown.stops:
        table.add_column(f"{stop.over:,} over", justify="right")
    for rows in zip(*(stop.steps for stop in grown.stops), strict=True):
        cells = [
            f"{'[red]' if one.times > BOUND else ''}{one.times:.2f} x ({one.touched:.2f})"
            for one in rows
        ]
        table.add_row(rows[-1].step, f"{rows[-1].seconds * 1e3:.2f} ms", *cells)
    console = Console(width=None)
    console.print(table)
    for stop in grown.stops:
        console.print(f"filled with {stop.over:,}: {stop.seconds:,.0f} s")
    for one in grown.spaces:
        console.print(
            f"a finished task with {one.payload:,} bytes: {one.kept:,.0f} bytes (bound:"
            f" {one.bound:,.0f}), {one.purged:,.0f} after a purge{'' if one.holds else ': MISSED'}"
        )


DRAWN: Final = (*WRITES, "/stats", "/metrics")


def picture(grown: Grown) -> str:
    """Its plot: what is written, what is counted, and the slowest list."""
    lines = {
        name: [
            (stop.over, one.times) for stop in grown.stops for one in stop.steps if one.step == name
        ]
        for name in DRAWN
    }
    lists = LISTS.keys() - set(DRAWN)
    lines["the slowest list"] = [
        (stop.over, max(one.times for one in stop.steps if one.step in lists))
        for stop in grown.stops
    ]
    return plot.growth(
        f"{grown.home}: times as long as on a new ledger, by tasks that are over", lines, BOUND
    )
