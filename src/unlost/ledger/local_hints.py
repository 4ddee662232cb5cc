"""Hints within one event loop: "look now", "this has changed"."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken, joined

BUFFERED = 10_000
"""Transitions kept for a watcher that does not look; older ones are dropped."""


class LocalHints:
    """Like `hints.Hints`, for a ledger that no other process sees."""

    def __init__(self) -> None:
        self._due = asyncio.Event()
        self._woken: list[Woken] = []  # since somebody last looked
        self._begun = asyncio.Event()
        self._watchers: set[_Watcher] = set()

    def wake(self, types: Woken = None) -> None:
        """Tell all workers that something of these types may be due."""
        self._woken = [joined([*self._woken, types])]
        self._due.set()

    def begin(self) -> None:
        """Tell those who step redrives that one has begun."""
        self._begun.set()

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers)

    def publish(self, transition: Transition) -> None:
        """Tell all who watch what has changed."""
        for watcher in self._watchers:
            watcher.put(transition)

    async def begun(self, seconds: float) -> None:
        """Return when a redrive has begun, since the last wait for one, or in `seconds`."""
        await _come(self._begun, seconds)
        self._begun.clear()

    async def wait(self, seconds: float) -> Woken:
        """Return at a wake-up, one that came since the last wait included, or in `seconds`."""
        await _come(self._due, seconds)
        woken, self._woken = self._woken, []
        self._due.clear()
        return joined(woken) if woken else None  # another waiter may have looked before

    @asynccontextmanager
    async def transitions(self) -> AsyncIterator[AsyncIterator[list[Transition]]]:
        """What is published from now on."""
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """Nothing is left behind."""


async def _come(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class _Watcher(AsyncIterator[list[Transition]]):
    """What one watcher has not seen yet."""

    def __init__(self) -> None:
        self._unseen: deque[Transition] = deque(maxlen=BUFFERED)
        self._some = asyncio.Event()

    def put(self, transition: Transition) -> None:
        self._unseen.append(transition)
        self._some.set()

    async def __anext__(self) -> list[Transition]:
        await self._some.wait()
        self._some.clear()
        batch = list(self._unseen)
        self._unseen.clear()
        return batch
