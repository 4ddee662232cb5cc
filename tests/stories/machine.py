"""A machine of a story: a real worker and its real supervisor's part, on a line that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, cast

from tests.unit.virtual import VirtualLoop
from unlost.handlers import Handlers, Task
from unlost.ledger.protocol import Ledger
from unlost.settings import Settings
from unlost.supervisor.brief import Ready
from unlost.supervisor.processes.process import Child
from unlost.supervisor.workers.workers import Workers, was_meant
from unlost.worker.ending import Ending
from unlost.worker.worker import Worker

SETTINGS = Settings(seed=7, backoff_base=10.0)

Say = Callable[[str], None]


class Line:
    """A process's way to the ledger.  While it is cut, calls wait; time stands still in each."""

    def __init__(self, ledger: Ledger, loop: VirtualLoop) -> None:
        self._ledger = ledger
        self._loop = loop
        self.whole = asyncio.Event()
        self.whole.set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        # Hints wait for what comes, and what is no call is there.
        if name in ("wait", "begun", "transitions") or not callable(method):
            return method

        async def call(*args: Any, **options: Any) -> Any:
            await self.whole.wait()
            with self._loop.still():
                return await method(*args, **options)

        return call


class Process(Child):
    """What a supervisor sees of a child: of a real one, no more than is needed here."""

    def __init__(self, name: str, *, alone: bool) -> None:
        self.id = name
        self.alone = alone
        self.ready = None
        self.leaving = self.put_down = self.recording = False
        self.exited = asyncio.get_running_loop().create_future()


class Machine:
    """Runs tasks, whose handlers do what the story says: `handlers` holds those that run."""

    def __init__(
        self,
        name: str,
        types: tuple[str, ...],
        slots: int,
        ledger: Ledger,
        say: Say,
        *,
        alone: bool,
    ) -> None:
        loop = cast(VirtualLoop, asyncio.get_running_loop())
        self.name = name
        self.handlers: dict[str, asyncio.Future[object]] = {}
        self._say = say
        self._lines = [Line(ledger, loop), Line(ledger, loop)]
        own, supervisors = cast(list[Ledger], self._lines)
        self._process = Process(name, alone=alone)
        self._supervisor = Workers(supervisors, SETTINGS, Random(7))
        self._supervisor.add(self._process)
        served = Handlers()
        for one in types:
            served.task(one)(self._handle)
        self._worker = Worker(
            own,
            served if types else Handlers.for_every_type(self._handle),
            replace(SETTINGS, concurrency=slots),
            worker_id=name,
            random=Random(name),
            alone=alone,
        )
        self._tasks = [loop.create_task(self._supervisor.beat()), loop.create_task(self._run())]

    async def _handle(self, task: Task) -> object:
        told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.handlers[task.id] = told
        try:
            return await told
        except asyncio.CancelledError:
            self._say(f"{task.id}  the handler in {self.name} is told to stop")
            raise
        finally:
            self.handlers.pop(task.id, None)

    async def _run(self) -> None:
        ending = await self._worker.run(self._is_ready)
        self._process.leaving = ending is not Ending.LEASE_OVER
        self._say(f"{self.name}  has ended: {ending.name.lower().replace('_', ' ')}")
        await self._bury()

    def _is_ready(self) -> None:
        self._process.ready = Ready(())

    async def _bury(self) -> None:
        self._process.exited.set_result(0)
        meant = was_meant(self._process, stopping=False)
        await self._supervisor.bury(self._process, meant=meant, give_up=lambda: False)

    def stop(self) -> None:
        """Tell it to end in order."""
        self._worker.drain()

    async def crash(self) -> None:
        """End its worker without a word; its supervisor sees that."""
        self._lines[0].whole.clear()
        self._tasks[1].cancel()
        self.handlers.clear()
        await self._bury()

    def cut(self) -> None:
        """Cut it off from the ledger; it goes on."""
        for line in self._lines:
            line.whole.clear()

    def mend(self) -> None:
        """Let it reach the ledger again."""
        for line in self._lines:
            line.whole.set()
