"""The end of a child, which comes whatever its handlers have left behind."""

from __future__ import annotations

import os
import threading

from unlost.supervisor.brief import Exit
from unlost.telemetry.logs import Writer

TO_SEND = 2.0
"""Seconds that a process gets at its end to send the traces that wait."""

SLOW_END = 3.0
"""Seconds that a process gets for what its handlers' modules do when it ends."""


def end_soon(status: Exit, writer: Writer, *, at_once: bool) -> None:
    """End the process also where a handler, or what its module left behind, does not end."""

    def end() -> None:
        writer.close()
        os._exit(status)

    if at_once:
        end()
    last = threading.Timer(SLOW_END, end)
    last.daemon = True
    last.start()
