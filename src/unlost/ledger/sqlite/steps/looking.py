"""Looks at steps, taken together: what comes while one read is under way goes in the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import apsw

from unlost.ledger.sqlite.steps import recording
from unlost.ledger.values import StepLook

Wanted = tuple[str, str, str]
"""A task's id, a token and the name of a step."""

Read = Callable[[Callable[[apsw.Connection], list[StepLook]]], Awaitable[list[StepLook]]]


class Looking:
    """Answers looks of one event loop, many in one read."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._waiting: list[tuple[Wanted, asyncio.Future[StepLook]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def look(self, wanted: Wanted) -> StepLook:
        """Whether the attempt runs, and what stands under the name."""
        answer: asyncio.Future[StepLook] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, answer))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read_all())
        return await answer

    async def _read_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                found = await self._read(partial(_look_at, batch=batch))
            except Exception as error:  # noqa: BLE001  it is each caller's
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (_, answer), one in zip(batch, found, strict=True):
                    if not answer.done():
                        answer.set_result(one)


def _look_at(
    db: apsw.Connection, batch: list[tuple[Wanted, asyncio.Future[StepLook]]]
) -> list[StepLook]:
    return [recording.look(db, *wanted) for wanted, _ in batch]
