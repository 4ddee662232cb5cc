"""Machines on one database: real `unlost api` and `unlost worker` trees, and load over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.settings import flag
from unlost.task import TERMINAL, Record

HERE = Path(__file__).parent / "onmachine"
READY = ("unlost is listening on ", "unlost worker is ready")
PATIENCE = 30.0

QUICK = {
    "handler": "machine_app:handlers", "port": 0, "workers": 1,
    "backoff_base": 0.05, "backoff_cap": 0.2,
}  # fmt: skip


class Machine:
    """A service that runs, from `with` on, with its handlers' files and its log in a folder.

    `ahead`: seconds by which its clock is wrong.
    """

    def __init__(self, folder: Path, role: str, ledger: str, ahead: int = 0, **settings: Any):
        folder.mkdir()
        self.folder = folder
        flags = [
            part for name, value in (QUICK | settings).items() for part in (flag(name), str(value))
        ]
        self._command = [sys.executable, "-m", "unlost", role, *flags]
        places = {"PYTHONPATH": str(HERE), "FOLDER": str(folder), "CLOCK_AHEAD": str(ahead)}
        self._environment = os.environ | places | {"UNLOST_LEDGER": ledger}
        self.url = ""

    def __enter__(self) -> Self:
        with (self.folder / "stdout").open("ab") as output:
            self.process = subprocess.Popen(
                self._command, stdout=output, stderr=subprocess.PIPE, text=True,
                cwd=self.folder, env=self._environment,
            )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def await_ready(self) -> None:
        """Return once it says that it is ready."""
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        assert said.startswith(READY), said
        self.url = said.removeprefix(READY[0]).strip()

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log's records of this event."""
        lines = (self.folder / "stdout").read_text().splitlines()
        return [record for record in map(json.loads, lines) if record["event"] == event]

    def has(self, name: str) -> bool:
        """Whether a handler left this file."""
        return (self.folder / name).exists()

    def child(self) -> psutil.Process:
        """The one process that the supervisor looks after."""
        (child,) = psutil.Process(self.process.pid).children()
        return child

    def signal_supervisor(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@asynccontextmanager
async def beside(url: str) -> AsyncIterator[Ledger]:
    """The ledger, seen from beside the machines, by the database's clock."""
    ledger = await open_ledger(url)
    try:
        yield ledger
    finally:
        await ledger.close()


async def eventually(
    holds: Callable[[], Awaitable[bool]] | Callable[[], bool], within: float = PATIENCE
) -> float:
    """The seconds until this held."""
    begun = time.monotonic()
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return time.monotonic() - begun
        assert time.monotonic() - begun < within, "it did not come to that in time"
        await asyncio.sleep(0.02)


async def ended(ledger: Ledger, task_id: str) -> Record:
    """The task, once it is terminal."""
    found: list[Record] = []

    async def is_terminal() -> bool:
        try:
            record = await ledger.get(task_id)
        except LedgerUnavailable:
            return False
        if record is not None and record.state in TERMINAL:
            found.append(record)
        return bool(found)

    await eventually(is_terminal)
    return found[0]


class Load:
    """Clients that submit tasks over HTTP, each again and again until it is accepted.

    `answers` counts statuses; `accepted` has the ids, each once it was acknowledged.
    """

    def __init__(self, client: httpx.AsyncClient, name: str) -> None:
        self._client = client
        self.name = name
        self.answers: Counter[int] = Counter()
        self.accepted: list[str] = []
        self.retried: set[str] = set()

    @asynccontextmanager
    async def running(self, clients: int = 6) -> AsyncIterator[None]:
        """Submit meanwhile; at the end, each client brings its last task in."""
        self._busy = True
        tasks = [asyncio.create_task(self._submit_all(number)) for number in range(clients)]
        try:
            yield
        finally:
            self._busy = False
            await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)

    async def _submit_all(self, client: int) -> None:
        number = 0
        while self._busy:
            task_id = f"{self.name}-{client}-{number}"
            while not await self.submit(task_id):
                self.retried.add(task_id)
                await asyncio.sleep(0.05)
            self.accepted.append(task_id)
            number += 1
            await asyncio.sleep(0.01)

    async def submit(self, task_id: str) -> bool:
        """Whether it was accepted; if not, it must be told when to come again."""
        body = {"taskId": task_id, "type": "works", "payload": {}}
        answer = await self._client.post("/tasks", json=body)
        self.answers[answer.status_code] += 1
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) >= 1
            return False
        assert answer.status_code in (200, 202), answer.text
        return True

    async def until(self, submitted: int) -> None:
        """Return once so many more were accepted."""
        goal = len(self.accepted) + submitted
        await eventually(lambda: len(self.accepted) >= goal)
