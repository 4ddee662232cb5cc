"""What unlost runs beside its peers: a handler that does nothing but tell of it."""

from __future__ import annotations

import os

from bench.peers.programs.reporting import Reporter
from unlost import Handlers, Task

handlers = Handlers()
reporter = Reporter(os.environ["RAN"])


@handlers.task("default")
async def nothing(task: Task) -> None:
    """Succeed at once."""
    reporter.ran(task.payload)
