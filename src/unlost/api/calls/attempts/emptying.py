"""Workers that are given nothing until they hold nothing, so that what was lost can run alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from unlost.api.calls.attempts.pulls import PullingLedger
from unlost.pull.emptying import held_back
from unlost.task import SECOND, Micros

LOOK: Final = SECOND
"""How long what the ledger said is believed."""


class Emptying:
    """Who is to be empty now: looked up once a second, while there are claims."""

    def __init__(self, ledger: PullingLedger, clock: Callable[[], Micros]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._names: frozenset[str] = frozenset()
        self._looked_at: Micros | None = None
        self._for: Micros = 0
        self._looking = asyncio.Lock()

    async def has(self, worker: str) -> bool:
        """Whether it is given nothing while it holds something.  Raises LedgerUnavailable."""
        async with self._looking:
            now = self._clock()
            if self._looked_at is None or not 0 <= now - self._looked_at < self._for:
                await self._look()
                self._looked_at = now
        return worker in self._names

    async def _look(self) -> None:
        names: set[str] = set()
        self._for = LOOK
        if overdue := await self._ledger.lone():
            enlisted = await self._ledger.workers()
            busy = [one.worker for one in enlisted if one.worker.pull and one.count]
            for name, age in overdue.items():
                serving = sorted(one.id for one in busy if name in (one.types or ()))
                chosen, left = held_back(age, serving)
                if chosen is not None:
                    names.add(chosen)
                self._for = min(self._for, left or LOOK)
        self._names = frozenset(names)
