"""What the tasks of a day do: most succeed, some fail, hang, die, or kill their worker."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import zlib
from typing import Final

from unlost import Handlers, Reject, Retry, Task

FAILING: Final = 40
"""Of a thousand attempts, those that fail and are tried again."""

DYING: Final = 5
"""Of a thousand tasks, those that die until they are redriven."""


def _draw(task: Task) -> int:
    return zlib.crc32(f"{task.id}/{task.number}".encode()) % 1000


def _perhaps_fail(task: Task) -> None:
    """Fail so many of a thousand, each by its own id and number."""
    draw = _draw(task)
    if draw < DYING and task.redrive_count == 0:
        raise Reject("until it is redriven")
    if draw < FAILING:
        raise Retry(after=0.1) if draw % 2 else ValueError(f"attempt {task.number} was to fail")


async def _ordinary(task: Task) -> dict[str, int]:
    await asyncio.sleep(0.005)
    _perhaps_fail(task)
    return {"number": task.number}


def _in_thread(task: Task) -> None:
    time.sleep(0.002)
    _perhaps_fail(task)


async def _steps(task: Task) -> None:
    """Make a step, say that something happened, and submit a task that follows."""
    await task.once("charge", _something)
    task.effect("mail")
    _perhaps_fail(task)
    task.submit({"after": task.id}, type="ordinary")


async def _something() -> int:
    return 1


async def _hangs(task: Task) -> None:
    """Outlive the timeout at the first attempt."""
    if task.attempt == 1:
        await asyncio.Event().wait()


async def _lethal(task: Task) -> None:
    """Kill the worker at the first attempt."""
    if task.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


handlers: Final = Handlers()
"""What never hurts its worker."""

harmful: Final = Handlers()
"""The same, and what does."""

for _each in (handlers, harmful):
    _each.task("ordinary")(_ordinary)
    _each.task("in thread")(_in_thread)
    _each.task("steps")(_steps)
    _each.task("limited")(_ordinary)
    _each.task("held")(_ordinary)
    _each.task("tick")(_ordinary)
    _each.task("hangs", timeout=0.5)(_hangs)
harmful.task("lethal")(_lethal)

pulled: Final = Handlers()
"""What claims by the API."""

pulled.task("pulled")(_ordinary)
