"""Measuring in memory, and publishing what was measured every few seconds.

Nothing here stands in a task's way: counting takes a microsecond, and what is published goes in a
transaction of its own.  A process that is killed takes the last few seconds of its counts with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from unlost.awake import within
from unlost.ledger.measured import Measured
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Claimed, Settlement
from unlost.task import SECOND, Event, Outcome
from unlost.telemetry.lasting import lasting
from unlost.telemetry.measures import (
    BOUNDS,
    MOST_TYPES,
    NOTHING,
    OTHER,
    Histogram,
    Measures,
    OfCall,
    OfType,
)

INTERVAL: Final = 2.0
"""Seconds between two publications of what changes."""

STILL_HERE: Final = 60.0
"""Seconds after which a process in which nothing happens says that it is there."""

LAST_WORD: Final = 1.0
"""Seconds that the last publication may take."""

SORTED_AT_ONCE: Final = 1_000

SUCCEEDED: Final = Outcome.SUCCEEDED


class Durations:
    """A histogram that grows.

    What is added is only put down, and sorted in a thousand at a time: that costs a tenth of
    looking up each one's bucket, and busy workers feel that.
    """

    __slots__ = ("_counts", "_new", "_sum")

    def __init__(self) -> None:
        self._new: list[float] = []
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0

    def add(self, seconds: float) -> None:
        """Count a duration; a negative one (of clocks that differ) is none."""
        self._new.append(seconds)
        if len(self._new) >= SORTED_AT_ONCE:
            self._sort_in()

    def _sort_in(self) -> None:
        new = sorted(self._new)
        before = 0
        for bucket, bound in enumerate(BOUNDS):
            below = bisect_right(new, bound, before)
            self._counts[bucket] += below - before
            before = below
        self._counts[-1] += len(new) - before
        self._sum += round(sum(new[bisect_right(new, 0.0) :]) * SECOND)
        self._new.clear()

    def seen(self) -> Histogram:
        """What it is now."""
        self._sort_in()
        return Histogram(tuple(self._counts), self._sum)


class _Type:
    __slots__ = ("deaths", "durations", "excused", "outcomes", "succeeded", "waits")

    def __init__(self) -> None:
        self.succeeded = 0  # apart, since an enum's hash is slow
        self.outcomes: Counter[str] = Counter()
        self.deaths = self.excused = 0
        self.waits = Durations()
        self.durations = Durations()

    def seen(self) -> OfType:
        outcomes = dict(self.outcomes)
        if self.succeeded:
            outcomes[SUCCEEDED] = self.succeeded
        return OfType(outcomes, self.deaths, self.waits.seen(), self.durations.seen(), self.excused)


class _Call:
    __slots__ = ("durations", "statuses")

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.durations = Durations()

    def seen(self) -> OfCall:
        return OfCall(dict(self.statuses), self.durations.seen())


class Recorder:
    """What this process has counted since somebody last took it.  For one event loop.

    Handlers' time goes by `timer` (the loop's own may stand still while a handler computes).
    """

    def __init__(self, timer: Callable[[], float] = time.perf_counter) -> None:
        self.timer = timer
        self._known: set[str] = set()  # the types that go by their own names
        self._types: dict[str, _Type] = {}
        self._calls: dict[str, _Call] = {}
        self._refused: Counter[str] = Counter()

    def started(self, claimed: Claimed) -> None:
        """An attempt starts: count how long its task has waited since it was due."""
        if claimed.due_at is not None:
            counted = self._types.get(claimed.type) or self._of_type(claimed.type)
            counted.waits.add((claimed.started_at - claimed.due_at) / SECOND)

    def settled(self, task_type: str, done: Settlement, seconds: float | None = None) -> None:
        """An attempt was settled; `seconds` is how long its handler ran, where that was seen."""
        counted = self._types.get(task_type) or self._of_type(task_type)
        if done.outcome is SUCCEEDED:
            counted.succeeded += 1
        else:
            counted.outcomes[done.outcome] += 1
            counted.deaths += done.event is Event.DIE
            counted.excused += done.excused
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

    def refused(self, reason: str, number: int = 1) -> None:
        """Calls, or tasks of a batch, were refused; there are few different reasons."""
        self._refused[reason] += number

    def take(self) -> Measures:
        """What was counted since the last time."""
        types = {name: counted.seen() for name, counted in self._types.items()}
        calls = {name: counted.seen() for name, counted in self._calls.items()}
        refused = dict(self._refused)
        self._types, self._calls, self._refused = {}, {}, Counter()
        return Measures(types, calls, refused)

    def _of_type(self, name: str) -> _Type:
        if name not in self._known and len(self._known) >= MOST_TYPES:
            name = OTHER
        self._known.add(name)
        if name not in self._types:
            self._types[name] = _Type()
        return self._types[name]


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
        await asyncio.sleep(INTERVAL)
        await lasting("measures", self._try_to_publish, INTERVAL)

    async def _try_to_publish(self) -> None:
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
            await within(LAST_WORD, publisher.close())
