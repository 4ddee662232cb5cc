"""Handlers of a service whose tasks others run."""

from __future__ import annotations

from unlost import Handlers, Task

handlers = Handlers()


@handlers.task("of nobody")
async def of_nobody(task: Task) -> None:
    """Nobody submits one."""
