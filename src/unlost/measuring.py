"""Measuring in memory, and publishing what was measured every few seconds.

Nothing here stands in a task's way: counting takes a microsecond, and what is published goes in a
transaction of its own.  A process that is killed takes the last few seconds of its counts with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from unlost.ledger.measured import Measured
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Claimed, Settlement
from unlost.measures import BOUNDS, MOST_TYPES, NOTHING, OTHER, Histogram, Measures, OfCall, OfType
from unlost.task import SECOND, Event, Outcome

INTERVAL: Final = 2.0
"""Seconds between two publications of what changes."""

STILL_HERE: Final = 60.0
"""Seconds after which a process in which nothing happens says that it is there."""

LAST_WORD: Final = 1.0
"""Seconds that the last publication may take."""


class Durations:
    """A histogram that grows."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0

    def add(self, seconds: float) -> None:
        """Count a duration; a negative one (of clocks that differ) is none."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._sum += round(seconds * SECOND)

    def seen(self) -> Histogram:
        """What it is now."""
        return Histogram(tuple(self._counts), self._sum)


class _Type:
    __slots__ = ("deaths", "durations", "outcomes", "waits")

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.deaths = 0
        self.waits = Durations()
        self.durations = Durations()

    def seen(self) -> OfType:
        return OfType(dict(self.outcomes), self.deaths, self.waits.seen(), self.durations.seen())


class _Call:
    __slots__ = ("durations", "statuses")

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.durations = Durations()

    def seen(self) -> OfCall:
        return OfCall(dict(self.statuses), self.durations.seen())


class Recorder:
    """What this process has counted since somebody last took it.  For one event loop."""

    def __init__(self) -> None:
        self._known: set[str] = set()  # the types that go by their own names
        self._types: dict[str, _Type] = {}
        self._calls: dict[str, _Call] = {}

    def started(self, claimed: Claimed) -> None:
        """An attempt starts: count how long its task has waited since it was due."""
        if claimed.due_at is not None:
            waited = (claimed.started_at - claimed.due_at) / SECOND
            self._of_type(claimed.type).waits.add(waited)

    def settled(self, task_type: str, done: Settlement, seconds: float | None = None) -> None:
        """An attempt was settled; `seconds` is how long its handler ran, where that was seen."""
        counted = self._of_type(task_type)
        counted.outcomes[done.outcome] += 1
        if done.event is Event.DIE:
            counted.deaths += 1
        if seconds is not None:
            counted.durations.add(seconds)

    def cancelled(self, task_type: str) -> None:
        """A running attempt was cancelled."""
        self._of_type(task_type).outcomes[Outcome.CANCELLED] += 1

    def answered(self, call: str, status: int, seconds: float) -> None:
        """A call of the API was answered."""
        counted = self._calls.get(call)
        if counted is None:
            counted = self._calls[call] = _Call()
        counted.statuses[status] += 1
        counted.durations.add(seconds)

    def take(self) -> Measures:
        """What was counted since the last time."""
        types = {name: counted.seen() for name, counted in self._types.items()}
        calls = {name: counted.seen() for name, counted in self._calls.items()}
        self._types, self._calls = {}, {}
        return Measures(types, calls)

    def _of_type(self, name: str) -> _Type:
        counted = self._types.get(name)
        if counted is None:
            if name not in self._known and len(self._known) >= MOST_TYPES:
                name = OTHER
            self._known.add(name)
            counted = self._types.setdefault(name, _Type())
        return counted


class Publisher:
    """Publishes what a recorder counts, as totals under a name that `new_name` makes.

    `clock` is a time in seconds.
    """

    def __init__(
        self,
        ledger: Measured,
        recorder: Recorder,
        new_name: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._new_name = new_name
        self._clock = clock
        self._name = new_name()
        self._open = False
        self._total = NOTHING
        self._behind = False  # whether the ledger may not know the total
        self._spoke = clock()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            with contextlib.suppress(LedgerUnavailable):  # others say so; the next one has it all
                await self.publish()

    async def publish(self) -> None:
        """Publish what is new, if anything is.  Raises LedgerUnavailable."""
        await self._open_row()
        news = self._take()
        if not self._behind and self._clock() < self._spoke + STILL_HERE:
            return
        if not await self._ledger.publish_measures(self._name, self._total):
            # The ledger has added to its sum what it was told before, and only that: any part of
            # it again would count twice.
            self._name, self._open, self._total = self._new_name(), False, news
            await self._open_row()
            await self._ledger.publish_measures(self._name, self._total)
        self._behind, self._spoke = False, self._clock()

    async def close(self) -> None:
        """Publish for the last time.  Raises LedgerUnavailable."""
        self._take()
        if self._open or self._behind:
            await self._open_row()
            await self._ledger.close_measures(self._name, self._total)

    def _take(self) -> Measures:
        news = self._recorder.take()
        if news != NOTHING:
            self._total, self._behind = self._total.plus(news), True
        return news

    async def _open_row(self) -> None:
        if not self._open:
            await self._ledger.open_measures(self._name)
            self._open = True


@asynccontextmanager
async def publishing(ledger: Ledger, recorder: Recorder) -> AsyncIterator[None]:
    """Publish what is recorded within this context, and the rest at its end, if the ledger keeps
    measures."""
    if not isinstance(ledger, Measured):
        yield
        return
    clock = asyncio.get_running_loop().time
    publisher = Publisher(ledger, recorder, lambda: secrets.token_hex(8), clock)
    running = asyncio.create_task(publisher.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        with contextlib.suppress(LedgerUnavailable, TimeoutError):
            async with asyncio.timeout(LAST_WORD):
                await publisher.close()
