"""The watch over the living worker processes of one supervisor."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from random import Random

from unlost.ledger.protocol import LeaseOver, LedgerGone, LedgerUnavailable
from unlost.ledger.unavailable import log_unavailable
from unlost.settings import Settings
from unlost.supervisor.processes.process import Child
from unlost.telemetry.logs import Log
from unlost.worker.running.runner import DROPPED_PATIENCE
from unlost.worker.unavailable import AGAIN

WATCH = 1.0
"""Seconds between looks for hung children."""

SILENCE = 2.0
"""Seconds without a pulse after which an event loop counts as blocked."""

IDLE_SILENCE = SILENCE + DROPPED_PATIENCE
"""Seconds without a pulse after which a child that holds nothing is killed: what blocks it was
cancelled or reaped."""

log = Log("unlost.supervisor")


class Watching(ABC):
    """The living worker processes of one supervisor."""

    def __init__(self, settings: Settings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self._living: dict[str, Child] = {}

    def add(self, child: Child) -> None:
        """Look after a child until `bury`."""
        self._living[child.id] = child

    def _ready(self) -> dict[str, Child]:
        return {
            name: child
            for name, child in self._living.items()
            if child.ready is not None and not child.exited.done()
        }

    @abstractmethod
    async def until_lone_due(self, types: tuple[str, ...] | None) -> float | None:
        """Seconds until a worker is wanted that runs alone; None where none is, for now.

        Raises LedgerUnavailable.
        """

    @abstractmethod
    async def beat(self) -> None:
        """Extend the leases of the living, until cancelled.

        Done here, since a handler that holds the interpreter's lock would hold up a worker's own.
        """

    async def watch(self) -> None:
        """Kill children whose event loop is blocked by an attempt that should have ended.

        A worker whose loop runs ends such an attempt itself.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH)
            for child in self._ready().values():
                silent = loop.time() - child.pulsed
                if silent > SILENCE and await self._overdue(child, silent):
                    log.warning("worker.hung", extra={"worker": child.id})
                    child.kill()

    @abstractmethod
    async def _overdue(self, child: Child, silent: float) -> bool:
        """Whether a child that has been silent for so many seconds is to be killed."""

    @abstractmethod
    async def bury(self, child: Child, *, meant: bool, give_up: Callable[[], bool]) -> None:
        """Settle what a worker that has ended still held, as far as nobody else does.

        `meant`: it was to end, so its attempts cost nothing.  Tries until there is an answer, or
        `give_up` says that there is no time.
        """

    async def _until_done(
        self, step: Callable[[], Awaitable[None]], give_up: Callable[[], bool]
    ) -> None:
        """Take this step until it is done, there is nothing left that it could do, or no time."""
        tries = 0
        while True:
            try:
                await step()
            except (LeaseOver, LedgerGone):
                return
            except LedgerUnavailable as error:
                log_unavailable(log, error)
                if give_up():
                    return
                tries += 1
                await asyncio.sleep(AGAIN.wait(tries, self._random.random()))
            else:
                return
