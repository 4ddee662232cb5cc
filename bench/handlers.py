"""The handlers of the benchmarks."""

from __future__ import annotations

from unlost import Handlers, Reject, Task

handlers = Handlers()


@handlers.task("default")
async def nothing(task: Task) -> None:
    """Succeed at once."""


dying = Handlers()
"""What dies at its first attempt, and succeeds once it is redriven."""


@dying.task("default")
async def die_once(task: Task) -> None:
    """Fail for good, unless it is redriven."""
    if task.redrive_count == 0:
        raise Reject("not yet")


stepping = Handlers()
"""What makes one step."""


@stepping.task("default")
async def one_step(task: Task) -> None:
    """Make a step of nothing."""
    await task.once("step", _something)


async def _something() -> int:
    return 1
