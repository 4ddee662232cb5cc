"""A real process tree for tests: started, watched, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest

from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger
from unlost.settings import flag
from unlost.supervisor.workers.pulling import SHORTEST_LEASE
from unlost.task import DEFAULT_TYPE, TERMINAL, Record, State, Submission

HERE = Path(__file__).parent
UNLOST = str(Path(sys.executable).with_name("unlost"))
READY = ("unlost is listening on ", "unlost worker is ready")


class Service:
    """A running `unlost serve`, `api` or `worker`, and its ledger as seen from beside it.

    `home` is the one that has the ledger.
    """

    def __init__(
        self,
        process: subprocess.Popen[str],
        ready: str,
        folder: Path,
        ledger: Ledger,
        home: Service | None = None,
    ) -> None:
        self.process = process
        self.ready = ready
        self.folder = folder
        self.ledger = ledger
        self.home = home or self

    async def submit(self, *task_ids: str, payload: str = "{}", **options: Any) -> None:
        digest = sha256(payload.encode()).digest()
        await self.ledger.submit(
            [Submission(task_id, payload, digest, **options) for task_id in task_ids]
        )

    async def when(
        self, task_id: str, holds: Callable[[Record], bool], within: float = 30.0
    ) -> Record:
        """The task, once this holds."""
        end = time.monotonic() + within
        while True:
            record = await self.ledger.get(task_id)
            if record is not None and holds(record):
                return record
            assert time.monotonic() < end, f"not in time: {record}\n{self.stdout()[-3000:]}"
            await asyncio.sleep(0.01)

    async def ended(self, task_id: str, within: float = 30.0) -> Record:
        """The task, once it is terminal."""
        return await self.when(task_id, lambda record: record.state in TERMINAL, within)

    async def running(self, *task_ids: str) -> None:
        """Return once a handler of each task runs: it has made a file of the task's name."""
        for task_id in task_ids:
            await self.when(task_id, lambda record: record.state is State.RUNNING)
            await until((self.folder / task_id).exists)

    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    def log(self) -> list[dict[str, Any]]:
        """All records of the log; each line must be one."""
        lines = self.stdout().splitlines()
        records = [json.loads(line) for line in lines]
        assert all(isinstance(record, dict) and "event" in record for record in records)
        return records

    def logs(self) -> list[dict[str, Any]]:
        """Its own log, and its home's."""
        return self.log() + (self.home.log() if self.home is not self else [])

    def events(self, event: str) -> list[dict[str, Any]]:
        return [record for record in self.log() if record["event"] == event]

    def workers(self) -> list[int]:
        """The pids of the worker processes."""
        return [pid for pid, command in children(self.process.pid) if command.endswith(" worker")]

    def everyone(self) -> list[int]:
        """The pids of the supervisor and its children."""
        return [self.process.pid, *(pid for pid, _ in children(self.process.pid))]

    async def exit_status(self, within: float = 30.0) -> int:
        """The exit status, once the process has ended."""
        await until(lambda: self.process.poll() is not None, within)
        assert self.process.returncode is not None
        return self.process.returncode

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.exit_status()


def children(parent: int) -> list[tuple[int, str]]:
    """The living children of a process, each with its command line."""
    found = []
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append((child.pid, " ".join(child.cmdline())))
    return found


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but was not waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def until(holds: Callable[[], bool], within: float = 30.0) -> None:
    """Return once this holds."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "it did not come to that in time"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def service(folder: Path, role: str = "worker", **settings: Any) -> AsyncIterator[Service]:
    """A service with its ledger and output in `folder`, killed at the end if it still runs."""
    started = await start(folder, role, **settings)
    try:
        yield started
    finally:
        end(started.process)
        await started.ledger.close()


async def start(folder: Path, role: str = "worker", **settings: Any) -> Service:
    """Start a service and wait until it is ready."""
    process = launch(folder, role, **settings)
    ready = await asyncio.to_thread(_ready_line, process)
    if not ready.startswith(READY):
        end(process)
        raise AssertionError(f"it did not start: {ready}")
    return Service(process, ready, folder, await open_ledger(f"sqlite:///{folder}/ledger.db"))


SERVICES_OWN = ("max_retries", "attempt_timeout", "backoff_base", "seed", "max_excused")
"""Settings that hold for who has the ledger, whoever runs the attempts."""


@asynccontextmanager
async def worker_by_url(
    folder: Path, _role: str = "worker", **settings: Any
) -> AsyncIterator[Service]:
    """A worker in `folder` that claims by the API of a service, and that service's ledger."""
    own = {name: settings.pop(name) for name in SERVICES_OWN if name in settings}
    settings.pop("ledger", None)
    if "lease" in settings:
        settings["lease"] = max(settings["lease"], SHORTEST_LEASE)
    if "handler" not in settings:  # the simulated one serves what it is told to
        settings["types"] = DEFAULT_TYPE
    there = folder / "there"
    there.mkdir()
    async with service(there, "serve", handler="none", **own) as server:
        url = server.ready.split()[-1]
        process = launch(folder, "worker", url=url, **settings)
        ready = await asyncio.to_thread(_ready_line, process)
        try:
            assert ready.startswith(READY), f"it did not start: {ready}"
            yield Service(process, ready, folder, server.ledger, home=server)
        finally:
            end(process)


Working = Callable[..., AbstractAsyncContextManager[Service]]
"""Starts what runs attempts, as `service` does."""

WORKERS = [
    pytest.param(service, id="ledger"),
    pytest.param(worker_by_url, id="url", marks=pytest.mark.soak),
]
each_worker = pytest.mark.parametrize("working", WORKERS)
"""The same for a worker that has the ledger and for one that claims by the API of a service."""


def launch(folder: Path, role: str = "worker", **settings: Any) -> subprocess.Popen[str]:
    """Start a service; its stdout goes to a file in `folder`, its stderr to the returned pipe."""
    place = {} if "url" in settings else {"ledger": f"sqlite:///{folder}/ledger.db", "port": 0}
    given = place | {"workers": 1} | settings
    flags = [f"{flag(name)}={value}" for name, value in given.items()]
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    with (folder / "stdout").open("ab") as output:
        return subprocess.Popen(
            [UNLOST, role, *flags],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path, "FOLDER": str(folder)},
        )


def _ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def end(process: subprocess.Popen[str]) -> None:
    """End a process that may still run, and all its children with it."""
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()
