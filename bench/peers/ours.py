"""unlost on PostgreSQL: `unlost api` and `unlost worker`, as of some build."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from bench import service
from bench.builds import Build
from bench.load import drive, request
from bench.measures import PAYLOAD, READY, bodies
from bench.peers.processes import Running, running, with_ran
from tests.ports import free_port
from unlost.ledger.opening import open_ledger
from unlost.task import Submission

CONCURRENCY: Final = 100
BATCH: Final = 1000
IN_FLIGHT: Final = 4
WARM: Final = 50


class Unlost:
    """Of a build; its own calls are those of this one's ledger, in the measuring process."""

    share = 1.0
    left = "unlost.open_task"

    def __init__(self, build: Build) -> None:
        self.build = build
        self.name = f"unlost {build.commit}" + ("" if build.source is None else ", other build")

    async def prepare(self, database: str) -> None:
        """Its processes make the tables."""

    @contextlib.asynccontextmanager
    async def serving(self, database: str) -> AsyncIterator[Calls]:
        port = free_port()
        api = ("unlost", "api", "--port", str(port), "--ledger", database)
        async with service.running(*api, ready=READY, build=self.build) as pid:
            yield Calls(database, port, pid, own=self.build.source is None)

    @contextlib.asynccontextmanager
    async def working(self, database: str, ran: Path) -> AsyncIterator[Running]:
        command = [
            sys.executable, "-m", "unlost", "worker", "--ledger", database,
            "--handler", "bench.peers.handlers:handlers",
            "--workers", "2", "--concurrency", str(CONCURRENCY),
        ]  # fmt: skip
        async with running(command, with_ran(self.build.environment, ran)) as workers:
            yield workers


class Calls:
    """Calls to the API, and to the ledger without it."""

    def __init__(self, database: str, port: int, pid: int, *, own: bool) -> None:
        self.pids = [pid]
        self._database = database
        self._port = port
        self._own = own

    async def single(self, count: int) -> float | None:
        return await self._own_calls("s", count, 1, 1)

    async def bulk(self, count: int) -> float | None:
        return await self._own_calls("b", count, BATCH, IN_FLIGHT)

    async def single_http(self, count: int) -> float | None:
        wires = [request("/tasks", body) for body in bodies(count + WARM, "h")]
        await self._drive(wires[:WARM], 1)
        return await self._drive(wires[WARM:], 1)

    async def bulk_http(self, count: int) -> float | None:
        lines = bodies(count, "n")
        wires = [
            request("/tasks/batch", b"\n".join(lines[at : at + BATCH]), "application/x-ndjson")
            for at in range(0, count, BATCH)
        ]
        return await self._drive(wires, IN_FLIGHT)

    async def pace(self, count: int, rate: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        began = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0, began + number / rate - time.perf_counter()))
            task = {"taskId": f"p-{number}", "payload": PAYLOAD | {"at": time.time()}}
            writer.write(request("/tasks", json.dumps(task).encode()))
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()

    async def _drive(self, wires: list[bytes], connections: int) -> float:
        result = await drive(self._port, wires, connections)
        if result.refused:
            raise RuntimeError(f"{result.refused} answers were no 2xx")
        return result.seconds

    async def _own_calls(self, prefix: str, count: int, size: int, in_flight: int) -> float | None:
        """Of this build's ledger; another's is not in this process."""
        if not self._own:
            return None
        payload, digest = json.dumps(PAYLOAD), b"x" * 32
        names = (f"{prefix}-{number}" for number in range(count))
        batches = batched((Submission(name, payload, digest) for name in names), size)
        ledger = await open_ledger(self._database)
        await ledger.submit([Submission(f"{prefix}-warm", payload, digest)])

        async def caller() -> None:
            for batch in batches:
                await ledger.submit(batch)

        began = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(in_flight)))
        seconds = time.perf_counter() - began
        await ledger.close()
        return seconds


def batched(tasks: Iterator[Submission], size: int) -> Iterator[list[Submission]]:
    """So many at a time."""
    while batch := list(islice(tasks, size)):
        yield batch
