"""Starts: told of as long as they go on; a child's is ended when it takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from unlost.settings import flag
from unlost.supervisor.processes.process import Child
from unlost.telemetry.logs import Log

SLOW = 5.0
"""Seconds after which a start is told of: in the log, and of a worker in the ledger."""

TO_SHOW = 0.3
"""Seconds that a child gets to write where it hangs, before it is killed."""

log = Log("unlost.supervisor")

T = TypeVar("T")


class CannotStart(Exception):
    """The service cannot start.  The message is one line that says why."""


async def told_of(step: Coroutine[Any, Any, T], doing: str) -> T:
    """What a step of the supervisor's own start gives, however long it takes.

    It has no end: to bring a big ledger to a new version may take its time, and what was ended
    would begin anew.
    """
    loop = asyncio.get_running_loop()
    born, task = loop.time(), asyncio.ensure_future(step)
    for seconds in _told_at(float("inf")):
        await asyncio.wait({task}, timeout=born + seconds - loop.time())
        if task.done():
            break
        told = {"role": "supervisor", "pid": os.getpid(), "seconds": seconds, "doing": doing}
        log.info("process.starting", extra=told)
    return await task


async def see_start(child: Child, within: float) -> None:
    """Return once a child has started.  One that takes longer than `within` seconds is killed."""
    for seconds in _told_at(within):
        if await _started(child, seconds):
            return
        log.info("process.starting", extra=_told(child, seconds))
    if await _started(child, within):
        return
    child.failure = child.failure or (
        f"the {child.role} process was not ready after {within:g} s ({flag('start_timeout')});"
        f" it was {child.doing}"
    )
    child.show()
    await _started(child, within + TO_SHOW)
    if child.ready is None:
        child.kill()
    else:
        child.failure = ""


def _told_at(within: float) -> Iterator[float]:
    """The ages at which a start is told of; each gap is twice the one before."""
    gap = seconds = SLOW
    while seconds < within:
        yield seconds
        gap *= 2
        seconds += gap


async def _started(child: Child, age: float) -> bool:
    """Whether a child has started, or never will, by this age."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(child.born + age):
            await child.started.wait()
    return child.started.is_set()


def _told(child: Child, seconds: float) -> dict[str, object]:
    told: dict[str, object] = {"role": child.role, "pid": child.pid, "seconds": seconds}
    if child.id:
        told["worker"] = child.id
    return told | {"doing": child.doing}
