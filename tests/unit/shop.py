"""Handlers that do something to the outside, which `task.once` is to make once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.unit.stage import Stage, Unreliable, stage
from unlost.effects import Recorded
from unlost.handlers import Task
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import NewStep
from unlost.task import Record


class Away(Unreliable):
    """A ledger that takes no record of a step before a moment of the loop's time."""

    back = 0.0
    looks = records = 0

    async def look_step(self, task_id: str, token: str, name: str) -> Any:
        self.looks += 1
        if asyncio.get_running_loop().time() < self.back:
            raise LedgerUnavailable("look_step")
        return await super().look_step(task_id, token, name)

    async def record_step(self, new: NewStep) -> Recorded:
        self.records += 1
        if self.failures.get("record_step", []) == ["after"]:
            self.failures["record_step"].pop()
            await super().record_step(new)
            raise LedgerUnavailable("record_step")
        if asyncio.get_running_loop().time() < self.back:
            raise LedgerUnavailable("record_step")
        return await super().record_step(new)


class Shop:
    """What is done to the outside: how often, and what comes of it."""

    def __init__(self, value: Any = None, fail: int = 0, seconds: float = 0.0) -> None:
        self.done: list[Any] = []
        self._value = value
        self._fail = fail
        self._seconds = seconds

    async def charge(self, *args: Any, **kwargs: Any) -> Any:
        self.done.append((*args, *kwargs.items()))
        await asyncio.sleep(self._seconds)
        if len(self.done) <= self._fail:
            raise ValueError("the card is busy")
        return self._value


async def run(handler: Callable[[Task], Awaitable[Any]], **options: Any) -> Record:
    """A task's end, of this handler."""
    async with stage(handler, **options) as play:
        await play.submit("t")
        return await play.ended("t")


async def made(play: Stage) -> list[tuple[str, int, str | None]]:
    steps = await play.ledger.steps_of("t", results=True)
    return [(step.name, step.attempt, step.result) for step in steps]
