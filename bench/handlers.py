"""The handler of the benchmarks: it does nothing."""

from __future__ import annotations

from unlost import Handlers, Task

handlers = Handlers()


@handlers.task("default")
async def nothing(task: Task) -> None:
    """Succeed at once."""
