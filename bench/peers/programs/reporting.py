"""Handlers tell what they ran, in the file $RAN, which all processes of a run add to.

ran COUNT SINCE     so many tasks started, the first of them at SINCE (seconds of the epoch)
took SECONDS        from the call of a task that says `at` when that was, to its start
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, Final

INTERVAL: Final = 0.1
"""Seconds in which runs are counted before they are told."""


class Reporter:
    """Of one process, whose handlers run in one event loop."""

    def __init__(self, file: str) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND)
        self._count = 0
        self._since = 0.0

    def ran(self, payload: dict[str, Any]) -> None:
        """Tell of a task that starts now."""
        now = time.time()
        if "at" in payload:
            self._tell(f"took {now - payload['at']:.6f}\n")
            return
        if self._count == 0:
            self._since = now
            asyncio.get_running_loop().call_later(INTERVAL, self._flush)
        self._count += 1

    def _flush(self) -> None:
        self._tell(f"ran {self._count} {self._since:.6f}\n")
        self._count = 0

    def _tell(self, line: str) -> None:
        os.write(self._file, line.encode())
