"""Group commit: what waits while a transaction is under way goes into the next one, together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar, cast

from unlost.batches import BatchSize
from unlost.ledger.postgres.connection.faults import HeldUp

S = TypeVar("S")
T = TypeVar("T")

JOINED: Final = 2_000
"""The most items that calls are joined up to."""

WEIGHT: Final = 8 << 20
"""The same in bytes."""

PLENTY: Final = 500
"""Items that wait from which a further transaction begins beside one that is under way."""


class _Call(Generic[S, T]):
    """Items whose caller waits for an answer to each."""

    def __init__(self, items: Sequence[S], weight: int) -> None:
        self.items = items
        self.weight = weight
        self.answer: asyncio.Future[list[T]] = asyncio.get_running_loop().create_future()


class Joined(Generic[S, T]):
    """Calls of one kind, one transaction at a time; while plenty of items wait, up to `at_once`.

    `run` gives one answer an item, in order; `weigh` tells an item's bytes.  After a transaction
    that failed fewer are joined, one transaction at a time, so that what fails because of one of
    them, or of their number, takes ever fewer others with it.
    """

    def __init__(
        self,
        run: Callable[[Sequence[S]], Awaitable[list[T]]],
        weigh: Callable[[S], int],
        at_once: int = 1,
    ) -> None:
        self._run = run
        self._weigh = weigh
        self._at_once = at_once
        self._waiting: deque[_Call[S, T]] = deque()
        self._items = 0  # of those that wait
        self._running: set[asyncio.Task[None]] = set()
        self._size = BatchSize.of(JOINED)

    async def do(self, items: Sequence[S]) -> list[T]:
        """An answer for each item.  Raises what `run` raises; where there are more items than are
        joined, some may be done then."""
        answers: list[T] = []
        for start in range(0, len(items), JOINED):
            answers += await self.begin(items[start : start + JOINED])
        return answers

    def begin(self, items: Sequence[S]) -> asyncio.Future[list[T]]:
        """The same of no more items than are joined, awaited by whoever likes to."""
        call = _Call[S, T](items, sum(map(self._weigh, items)))
        self._waiting.append(call)
        self._items += len(items)
        running = len(self._running)
        if not running or (running < self._at_once and self._plenty):
            self._running.add(asyncio.create_task(self._run_all()))
        return call.answer

    @property
    def _plenty(self) -> bool:
        """Whether more than one transaction at a time is worth it."""
        return self._items >= PLENTY and self._size.whole

    async def _run_all(self) -> None:
        try:
            while self._waiting and (len(self._running) == 1 or self._plenty):
                await self._together(self._next())
        finally:
            self._running.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _next(self) -> list[_Call[S, T]]:
        calls = [self._waiting.popleft()]
        room, weight = self._size.now - len(calls[0].items), WEIGHT - calls[0].weight
        while self._waiting:
            room -= len(self._waiting[0].items)
            weight -= self._waiting[0].weight
            if room < 0 or weight < 0:
                break
            calls.append(self._waiting.popleft())
        self._items -= sum(len(call.items) for call in calls)
        return calls

    async def _together(self, calls: list[_Call[S, T]]) -> None:
        try:
            answers = await self._run([item for call in calls for item in call.items])
        except BaseException as fault:  # noqa: BLE001 - who waits must hear of it, whatever it is
            self._size = self._size.failed(sum(len(call.items) for call in calls))
            if isinstance(fault, HeldUp):  # who came meanwhile has waited long enough, too
                calls += self._waiting
                self._waiting.clear()
                self._items = 0
            for call in calls:
                if not call.answer.done():
                    call.answer.set_exception(fault)
            return
        self._size = self._size.succeeded()
        end = 0
        for call in calls:
            start, end = end, end + len(call.items)
            if not call.answer.done():
                call.answer.set_result(answers[start:end])
