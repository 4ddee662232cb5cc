"""A supervisor's tree whose children start as a test says, in virtual time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, cast

from tests.unit.virtual import clock
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import Worker
from unlost.settings import Settings
from unlost.supervisor.brief import Ready
from unlost.supervisor.processes.process import Child
from unlost.supervisor.tree import Tree
from unlost.supervisor.workers.workers import Workers
from unlost.task import SECOND

NEVER = float("inf")


class SlowChild(Child):
    """Ready `after` seconds, when it has enlisted itself."""

    def __init__(self, role: str, number: int, after: float, ledger: MemoryLedger, alone: bool):
        self._loop = asyncio.get_running_loop()
        self.role = role
        self.id = f"w{number}" if role == "worker" else ""
        self.pid = number
        self.alone = alone
        self.started = asyncio.Event()
        self.ready = self.ready_at = None
        self.doing = "importing app:handlers"
        self.failure = ""
        self.is_wrong = self.leaving = self.put_down = self.recording = False
        self.exited = self._loop.create_future()
        self.stuck = self._loop.create_future()
        self.born = self.pulsed = self._loop.time()
        self.signals: list[signal.Signals] = []
        self._ledger = ledger
        if after < NEVER:
            self._loop.call_later(after, lambda: self._loop.create_task(self._begin()))

    async def _begin(self) -> None:
        if not self.exited.done():
            await self._ledger.enlist(Worker(self.id, None, self.alone), 3600 * SECOND)
            self.ready, self.ready_at = Ready(), self._loop.time()
            self.started.set()

    def _stop(self) -> None:
        self.end(0)

    def _signal(self, number: signal.Signals) -> None:
        self.signals.append(number)
        if number is signal.SIGKILL:
            self.end(-int(number))

    def end(self, status: int) -> None:
        """End it."""
        if not self.exited.done():
            self.started.set()
            self.exited.set_result(status)


class SlowTree(Tree):
    """The real tree; its n-th child is ready after the n-th of these seconds."""

    def __init__(self, after: list[float], ledger: MemoryLedger, settings: Settings) -> None:
        self.ledger = ledger
        self.workers = Workers(ledger, settings, Random(7))
        super().__init__(settings, ledger, self.workers, cast(Any, None), None)
        self.born: list[SlowChild] = []
        self._after = after

    def _made(self, role: str, *, alone: bool) -> Child:
        after = self._after[len(self.born)] if len(self.born) < len(self._after) else 0.1
        child = SlowChild(role, len(self.born) + 1, after, self.ledger, alone)
        self.born.append(child)
        return child

    async def until(self, seconds: float) -> None:
        """Let time pass until then."""
        await asyncio.sleep(seconds - asyncio.get_running_loop().time())

    async def shown(self) -> dict[str, bool]:
        """The workers that the ledger knows, and whether they are starting."""
        return {one.worker.id: one.worker.starting for one in await self.ledger.workers()}


@asynccontextmanager
async def tree(
    *after: float, ledger: Callable[[Any], MemoryLedger] = MemoryLedger, **settings: Any
) -> AsyncIterator[SlowTree]:
    """A tree, not yet started, whose workers are looked after."""
    made = SlowTree(list(after), ledger(clock), Settings(**{"workers": 1} | settings))
    steps = (made.workers.beat(), made.workers.show_starting())
    tasks = [asyncio.create_task(step) for step in steps]
    yield made
    made.stop()
    await made.run()
    for task in tasks:
        task.cancel()
