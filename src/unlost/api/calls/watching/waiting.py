"""Who waits for the end of a task: each task is looked at once for all who wait for it.

What is heard of ends are hints, which may be lost.  So each task is also looked at from time to
time: each second where few are waited for, and less often where they are many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final

from unlost.ledger.protocol import Ledger
from unlost.task import TERMINAL

REREAD: Final = 1.0
"""Seconds after which a task is looked at again though nothing was heard of it."""

PAUSE: Final = 0.004
"""Seconds between two such looks."""

AT_ONCE: Final = 8
"""Tasks that are looked at together once it was heard that they have ended."""


class Waiting:
    """All who wait, by what they wait for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._by_task: dict[str, set[asyncio.Event]] = {}  # looked at longest ago: first
        self._ended: dict[str, None] = {}  # of these, as was heard
        self._heard = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._way_out = asyncio.Lock()

    @contextmanager
    def end_of(self, task_id: str, end: asyncio.Event) -> Iterator[None]:
        """Set the event once the task ends, is not there, or cannot be looked at.  What was so
        before is not told at once."""
        self._by_task.setdefault(task_id, set()).add(end)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._by_task[task_id].discard(end)
            if not self._by_task[task_id]:
                del self._by_task[task_id]
                self._ended.pop(task_id, None)
            if not self._by_task and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    def ended(self, task_id: str) -> None:
        """It was heard that this task has ended."""
        if task_id in self._by_task:
            self._ended[task_id] = None
            self._heard.set()

    def release(self) -> None:
        """Have all wait no longer."""
        for ends in self._by_task.values():
            for end in ends:
                end.set()

    async def turn(self) -> None:
        """Return soon, one after another: however many have waited for the same, what others call
        is answered between them."""
        async with self._way_out:
            await asyncio.sleep(0)

    async def over(self, task_id: str) -> bool:
        """Whether the task has ended or is not there.  Raises LedgerUnavailable."""
        record = await self._ledger.get(task_id, ())
        return record is None or record.state in TERMINAL

    async def _look(self) -> None:
        while True:
            self._heard.clear()
            if not self._ended:
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(PAUSE, REREAD / len(self._by_task))):
                        await self._heard.wait()
            tasks = [*islice(self._ended or self._by_task, AT_ONCE if self._ended else 1)]
            await asyncio.gather(*map(self._look_at, tasks))

    async def _look_at(self, task_id: str) -> None:
        self._ended.pop(task_id, None)
        if task_id not in self._by_task:
            return
        self._by_task[task_id] = self._by_task.pop(task_id)
        try:
            over = await self.over(task_id)
        except Exception:  # noqa: BLE001 - each who waits finds out for itself, and tells
            over = True
        if over:
            for end in self._by_task.get(task_id, ()):
                end.set()
