"""The end of a supervisor that does not come to its end."""

from __future__ import annotations

import os
import threading

from unlost.telemetry.logs import Log, Writer

AFTERWARDS = 4.0
"""Seconds that a supervisor has to end in order once its children have ended or were killed."""

log = Log("unlost.supervisor")


class Deadline:
    """When the process ends, whatever it waits for then: for a ledger that does not let go of it,
    which on SQLite is a lock that another process holds.  What it had still to settle, others do.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._timer: threading.Timer | None = None

    def set(self, seconds: float) -> None:
        """End it in so many seconds, and no longer when it was to be before."""
        self.lift()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def lift(self) -> None:
        """Do not end it."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        log.warning("service.cut_short")
        self._writer.close()
        os._exit(0)
