"""Handlers of the machines in tests: each leaves a file in its machine's folder when it starts."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from unlost import Handlers, Task

handlers = Handlers()
FOLDER = Path(os.environ["FOLDER"])


def mark(task: Task, word: str = "") -> None:
    (FOLDER / f"{task.id}{word}").touch()


@handlers.task("works")
async def works(task: Task) -> dict[str, Any]:
    """Fail the first `failures` attempts; run for `seconds`."""
    mark(task)
    await asyncio.sleep(task.payload.get("seconds", 0))
    if task.attempt <= task.payload.get("failures", 0):
        raise ValueError("as it was told")
    return {"machine": FOLDER.name, "clock": time.time()}


@handlers.task("does nothing")
async def does_nothing(task: Task) -> None:
    """Be done at once, and leave no file."""


@handlers.task("tells its cancel")
async def tells_its_cancel(task: Task) -> dict[str, Any]:
    """Wait for ever at the first attempt, and tell of its end; be done at the second."""
    mark(task)
    if task.attempt == 1:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            mark(task, ".told")
            raise
    return {"machine": FOLDER.name, "clock": time.time()}


@handlers.task("ends when told")
async def ends_when_told(task: Task) -> dict[str, Any]:
    """Return at the first attempt once there is a file `ID.go`, at the second at once."""
    mark(task)
    while task.attempt == 1 and not (FOLDER / f"{task.id}.go").exists():  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    mark(task, ".returned")
    return {"machine": FOLDER.name, "clock": time.time()}
