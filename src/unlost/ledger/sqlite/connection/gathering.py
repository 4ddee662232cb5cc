"""Calls of one event loop, taken together: what comes while one is under way goes in the next one.

Each way to another thread and back costs more than most of what is asked there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Gathering(Generic[A, R]):
    """Answers calls by `answer`, which has a result for each of many, in order."""

    def __init__(self, answer: Callable[[list[A]], Awaitable[list[R]]]) -> None:
        self._answer = answer
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def ask(self, wanted: A) -> R:
        """The result for this one.  Raises what `answer` raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        self._waiting.append((wanted, answer))
        if self._answering is None or self._answering.done():
            self._answering = loop.create_task(self._answer_all())
        return await answer

    async def _answer_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                found = await self._answer([wanted for wanted, _ in batch])
            except Exception as error:  # noqa: BLE001  it is each caller's
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (_, answer), one in zip(batch, found, strict=True):
                    if not answer.done():
                        answer.set_result(one)
