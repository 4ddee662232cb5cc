"""Each queue of the race: how it is filled, what works it off, and how long that took."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final, Protocol

from bench.measures import PAYLOAD
from bench.peers.packages import NODE_BINARY, node_environment, python_environment
from tests.postgres.databases import Database
from unlost.ledger.opening import open_ledger
from unlost.task import Submission

PROCESSES: Final = 2
HERE: Final = Path(__file__).parent

UNLOST_TOOK: Final = """
SELECT (max(finished_at) - min(started_at)) / 1e6
FROM unlost.attempt JOIN unlost.task USING (seq) WHERE submitted_at >= %s
"""

PROCRASTINATE_TOOK: Final = """
SELECT extract(epoch FROM max(at) FILTER (WHERE type = 'succeeded')
                          - min(at) FILTER (WHERE type = 'started'))
FROM procrastinate_events
"""


class Queue(Protocol):
    """A queue in a database of its own."""

    name: str

    many: int
    """Tasks that wait when a round begins: enough for some seconds at this queue's rate."""

    async def prepare(self) -> None:
        """Make its tables."""

    async def round(self) -> float:
        """Tasks a second, by the queue's own records: from the first one's start to the last
        one's end."""


@contextlib.asynccontextmanager
async def processes(
    command: Sequence[str], environment: dict[str, str] | None, number: int
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """So many processes; told to end at the end of the block."""
    pipe = asyncio.subprocess.PIPE
    running = [
        await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
        )
        for _ in range(number)
    ]
    try:
        yield running
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in running:
            await process.wait()


async def until_empty(database: Database, rows: str) -> None:
    """Until no such rows are left; looks ten times a second."""
    with database.connect() as db:
        look = f"SELECT FROM {rows} LIMIT 1"
        while db.execute(look).fetchone() is not None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


def seconds(database: Database, sql: str, *values: object) -> float:
    """The one number that a query gives."""
    with database.connect() as db:
        row = db.execute(sql, values).fetchone()
    assert row is not None
    return float(row[0])


class Unlost:
    """`unlost worker` with handlers that do nothing."""

    def __init__(self, database: Database, concurrency: int, many: int) -> None:
        self.name = f"unlost, concurrency {concurrency}"
        self.many = many
        self._database = database
        self._concurrency = concurrency
        self._numbers = count()

    async def prepare(self) -> None:
        await (await open_ledger(self._database.url)).close()

    async def round(self) -> float:
        first = await self._fill()
        command = [
            sys.executable, "-m", "unlost", "worker", "--ledger", self._database.url,
            "--handler", "bench.handlers:handlers", "--workers", str(PROCESSES),
            "--concurrency", str(self._concurrency),
        ]  # fmt: skip
        async with processes(command, None, 1):
            await until_empty(self._database, "unlost.open_task")
        return self.many / seconds(self._database, UNLOST_TOOK, first)

    async def _fill(self) -> int:
        """Submit tasks; when the first of them was accepted."""
        ledger = await open_ledger(self._database.url)
        payload, first = json.dumps(PAYLOAD), 0
        names = [f"t{next(self._numbers)}" for _ in range(self.many)]
        for start in range(0, self.many, 1000):
            tasks = [Submission(one, payload, b"x" * 32) for one in names[start : start + 1000]]
            answers = await ledger.submit(tasks)
            first = first or answers[0].submitted_at or 0
        await ledger.close()
        return first


class Peer:
    """Another's queue, driven by a script beside this file."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self._command = command
        self._environment = environment

    async def run(self, *arguments: str) -> None:
        """Run the script to its end."""
        command = [*self._command, *arguments]
        process = await asyncio.create_subprocess_exec(*command, env=self._environment)
        if await process.wait():
            raise subprocess.CalledProcessError(process.returncode or 1, command)

    async def fill(self, many: int) -> None:
        await self.run("fill", str(many), json.dumps(PAYLOAD))

    async def work(self, concurrency: int, database: Database, left: str) -> list[bytes]:
        """Work everything off; what the processes said."""
        command = [*self._command, "work", str(concurrency)]
        async with processes(command, self._environment, PROCESSES) as running:
            await until_empty(database, left)
        return [await process.stdout.read() for process in running if process.stdout]


class Procrastinate:
    """Its worker keeps every job and its events, as it does by default."""

    def __init__(self, database: Database, concurrency: int, many: int) -> None:
        self.name = f"Procrastinate, concurrency {concurrency}"
        self.many = many
        self._database = database
        self._concurrency = concurrency
        command = [sys.executable, str(HERE / "procrastinate_app.py"), database.url]
        self._peer = Peer(self.name, command, python_environment())

    async def prepare(self) -> None:
        await self._peer.run("prepare")

    async def round(self) -> float:
        with self._database.connect() as db:
            db.execute("TRUNCATE procrastinate_jobs, procrastinate_events CASCADE")
        await self._peer.fill(self.many)
        left = "procrastinate_jobs WHERE status IN ('todo', 'doing')"
        await self._peer.work(self._concurrency, self._database, left)
        return self.many / seconds(self._database, PROCRASTINATE_TOOK)


class Graphile:
    """Its worker deletes what is done; there is no setting to keep it."""

    def __init__(self, database: Database, concurrency: int, many: int) -> None:
        self.name = f"graphile-worker, concurrentJobs {concurrency}"
        self.many = many
        self._database = database
        self._concurrency = concurrency
        command = [str(NODE_BINARY), str(HERE / "graphile_worker.cjs"), database.url]
        self._peer = Peer(self.name, command, node_environment())

    async def prepare(self) -> None:
        await self._peer.run("prepare")

    async def round(self) -> float:
        await self._peer.fill(self.many)
        jobs = "graphile_worker._private_jobs"
        said = await self._peer.work(self._concurrency, self._database, jobs)
        times = [json.loads(line) for line in said]
        took = max(last for _, last in times) - min(first for first, _ in times)
        return self.many / float(took)
