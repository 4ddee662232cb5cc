"""Workers that are given nothing until they hold nothing, so that what was lost can run alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from unlost.api.calls.attempts.pulls import PullingLedger
from unlost.ledger.values import Enlisted
from unlost.pull.emptying import PATIENCE, held_back
from unlost.task import SECOND, Micros

LOOK: Final = SECOND
"""How long what the ledger said is believed."""


class Emptying:
    """Who is to be empty now: looked up once a second, while there are claims; and who works, only
    once it matters to one of them."""

    def __init__(self, ledger: PullingLedger, clock: Callable[[], Micros]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._overdue: Mapping[str, Micros] = {}
        self._busy: Sequence[Enlisted] | None = None
        self._looked_at: Micros | None = None
        self._looking = asyncio.Lock()

    async def has(self, worker: str, types: Collection[str]) -> bool:
        """Whether it is given nothing of these types while it holds something.

        Raises LedgerUnavailable.
        """
        async with self._looking:
            now = self._clock()
            if self._looked_at is None or not 0 <= now - self._looked_at < LOOK:
                self._overdue, self._busy = await self._ledger.lone(), None
                self._looked_at = now
            past = now - self._looked_at
            ages = {name: self._overdue[name] + past for name in types if name in self._overdue}
            late = {name: age for name, age in ages.items() if age >= PATIENCE}
            busy = await self._who_is_busy() if late else ()
        for name, age in late.items():
            serving = sorted(one.worker.id for one in busy if name in (one.worker.types or ()))
            if held_back(age, serving)[0] == worker:
                return True
        return False

    async def _who_is_busy(self) -> Sequence[Enlisted]:
        if self._busy is None:
            enlisted = await self._ledger.workers()
            self._busy = [one for one in enlisted if one.worker.pull and one.count]
        return self._busy
