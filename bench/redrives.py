"""How fast dead letters are redriven, and what that costs a submit beside it, on SQLite.

    python -m bench.redrives [--letters 100000] [--rounds 3] [--against PATH]

A service's tasks die at their first attempt; redriven, each succeeds at once.  This build takes
them by one redrive without a canary, another build (12ed790) by `/dead-letters/redrive` in a loop.
Told is how many letters a second came to their second end while nothing else happened; then, with
as many letters again, the p99 of single submits beside that, against what it is without.  (Submits
beside would weigh on the rate as much as they get their share: the other build lets them wait.)
Builds are measured in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import httpx
import msgspec
import uvloop

from bench.builds import THIS, Build, builds
from bench.load import Result, drive, request
from bench.measures import READY, bodies, rows
from bench.service import cpu_seconds, running
from tests.ports import free_port

HANDLER = ("--handler", "bench.handlers:dying", "--workers", "2", "--concurrency", "200")
CALL = 10_000
"""Letters that one call of the loop takes."""

SUBMITS = 2_000


class Redriven(msgspec.Struct, frozen=True):
    """Letters a second, CPU milliseconds a letter, and submits without and beside that."""

    rate: float
    cpu: float
    alone: Result
    beside: Result


class Service(msgspec.Struct, frozen=True):
    """A service of this build or of another one."""

    port: int
    file: Path
    client: httpx.AsyncClient
    begin: Callable[[httpx.AsyncClient, str], Awaitable[None]]

    async def bury(self, letters: int, prefix: str) -> None:
        """Have so many more dead letters, of which all is told."""
        lines = bodies(letters, prefix)
        wires = [
            request("/tasks/batch", b"\n".join(lines[at : at + 1000]), "application/x-ndjson")
            for at in range(0, letters, 1000)
        ]
        await drive(self.port, wires, 4)
        await self._until("dead", letters)
        while rows(self.file, "SELECT count(*) FROM report") != [(0,)]:  # noqa: ASYNC110 - another's
            await asyncio.sleep(0.05)

    async def redrive(self, name: str, succeeded: int) -> float:
        """Redrive all letters; the seconds until so many tasks have succeeded in all."""
        began = time.perf_counter()
        await self.begin(self.client, name)
        await self._until("succeeded", succeeded)
        return time.perf_counter() - began

    async def _until(self, state: str, count: int) -> None:
        while (await self.client.get("/stats")).json()["states"][state] < count:  # noqa: ASYNC110 - another's
            await asyncio.sleep(0.05)


async def redriven(folder: Path, build: Build, letters: int) -> Redriven:
    """Bury so many tasks and redrive them; again, and submit meanwhile."""
    port = free_port()
    file = folder / f"redrives-{port}.db"
    command = ("unlost", "serve", "--port", str(port), "--ledger", f"sqlite:///{file}", *HANDLER)
    url = f"http://127.0.0.1:{port}"
    async with (
        running(*command, ready=READY, build=build) as pid,
        httpx.AsyncClient(base_url=url, timeout=120) as client,
    ):
        service = Service(port, file, client, _begin if build == THIS else _loop)
        await service.bury(letters, "first")
        before = cpu_seconds(pid)
        seconds = await service.redrive("first", letters)
        cpu = (cpu_seconds(pid) - before) / letters
        await service.bury(letters, "second")
        alone = await drive(port, _submits("alone"), 1)
        under_way = asyncio.ensure_future(service.redrive("second", 2 * letters))
        submits = itertools.takewhile(lambda _: not under_way.done(), _submits("beside"))
        beside = await drive(port, submits, 1)
        await under_way
        return Redriven(letters / seconds, cpu * 1000, alone, beside)


async def _begin(client: httpx.AsyncClient, name: str) -> None:
    body = {"id": name, "type": "default", "canary": 0, "tolerate": None}
    (await client.post("/redrives", json=body)).raise_for_status()


async def _loop(client: httpx.AsyncClient, _: str) -> None:
    more = True
    while more:
        answer = await client.post("/dead-letters/redrive", json={"type": "default", "limit": CALL})
        more = answer.raise_for_status().json()["more"]


def _submits(prefix: str) -> list[bytes]:
    """Single submits of a type that nobody serves."""
    return [
        request("/tasks", body.replace(b"{", b'{"type": "other", ', 1))
        for body in bodies(SUBMITS, prefix)
    ]


async def measure(
    redriven: Callable[[Build], Awaitable[Redriven]], every: list[Build], rounds: int
) -> None:
    """Print a line for each build, then the ratios."""
    found: dict[str, list[Redriven]] = {build.commit: [] for build in every}
    for _ in range(rounds):
        for build in every:
            found[build.commit].append(await redriven(build))
    for commit, results in found.items():
        rate, cpu = median(one.rate for one in results), median(one.cpu for one in results)
        alone, beside = (
            median(result.quantile(0.99) for result in group) * 1000
            for group in ([one.alone for one in results], [one.beside for one in results])
        )
        print(
            f"{commit}: {rate:,.0f} letters/s, {cpu:.3f} ms of CPU each;"
            f" submit p99 {alone:.2f} ms alone, {beside:.2f} ms beside ({beside / alone:.2f} times)"
        )
    if len(found) > 1:
        ours, theirs = ([one.rate for one in results] for results in found.values())
        ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
        print(f"letters/s, this build beside the other: {ratio:.2f} times (bound: 0.90)")


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.redrives", description=__doc__)
    parser.add_argument("--letters", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, measured in turns")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place, every = Path(folder), builds(chosen.against)
        one = lambda build: redriven(place, build, chosen.letters)  # noqa: E731
        uvloop.run(measure(one, every, chosen.rounds))


if __name__ == "__main__":
    main()
