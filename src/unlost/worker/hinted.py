"""How a worker follows hints: at once, unless others keep being quicker."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

SOONEST: Final = 0.002
LATEST: Final = 0.02
"""Seconds after which a worker follows a hint once it came too late to the last one, and to many in
a row.  So few of the workers that wait race for each task; what comes while the quickest is full
waits so long at most for another."""

LULL: Final = 0.02
"""Seconds without a hint after which it is looked when the next task is due: where hints come more
often, each claim sees what is due."""


class Hinted:
    """Sets `hint` when a worker is to claim because something may be due."""

    def __init__(self, hint: asyncio.Event) -> None:
        self._hint = hint
        self._late: asyncio.TimerHandle | None = None
        self._told = False  # since the last claim began
        self._follows = False  # whether that claim followed a hint
        self._came = float("-inf")  # when the last hint did
        self._often = False  # whether that was soon after the one before
        self._missed = 0  # claims in a row that followed a hint, and found nothing

    def come(self) -> None:
        """A hint has come."""
        now = asyncio.get_running_loop().time()
        self._often, self._came = now - self._came < LULL, now
        if not self._missed:
            self._follow()
        elif self._late is None:
            wait = min(LATEST, SOONEST * 2 ** min(self._missed - 1, 10))
            self._late = asyncio.get_running_loop().call_later(wait, self._follow)

    def _follow(self) -> None:
        self._told = True
        self._hint.set()

    def claims(self) -> None:
        """A claim begins: it sees all that was hinted at."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._follows, self._told = self._told, False

    def claimed(self, found: int) -> None:
        """It found so many."""
        if found:
            self._missed = 0
        elif self._follows:
            self._missed += 1

    async def lull(self) -> bool:
        """Whether no hint comes for a while; at once where they are rare."""
        if not (self._follows and self._often):
            return not self._hint.is_set()
        with suppress(TimeoutError):
            async with asyncio.timeout(LULL):
                await self._hint.wait()
        if self._late is not None:
            await self._hint.wait()
        return not self._hint.is_set()
