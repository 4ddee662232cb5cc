"""What a child and its supervisor say to each other, from the child's side."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable

from unlost.supervisor.brief import DOING, PULSE, PULSE_INTERVAL
from unlost.telemetry import logs
from unlost.worker.running.output import Printed


class Orders:
    """What the supervisor says to a child, which another thread hears: to stop."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._act: Callable[[], object] = lambda: None

    def stop(self) -> None:
        """Stop, as soon as somebody can."""
        self._told.set()
        with contextlib.suppress(RuntimeError):  # its loop has ended
            self._act()

    def on_stop(self, act: Callable[[], object]) -> None:
        """Have `act` called when it is time to stop, in any thread; perhaps twice."""
        self._act = act
        if self._told.is_set():
            act()


class Voice:
    """What the child says to its supervisor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)

    def say(self, line: bytes) -> None:
        """Say a line."""
        with contextlib.suppress(BrokenPipeError):
            logs.write_all(self._fd, line + b"\n")

    def doing(self, what: str) -> None:
        """Say what the child does next while it starts."""
        self.say(DOING + what.encode("utf-8", "replace"))

    def pulse(self) -> None:
        """Show that the event loop runs; where the supervisor does not listen, do not wait."""
        with contextlib.suppress(BrokenPipeError, BlockingIOError):
            os.write(self._fd, PULSE + b"\n")


async def pulsing(voice: Voice, printed: list[Printed]) -> None:
    """Show that the event loop runs, and that nothing printed waits long, until cancelled."""
    while True:
        voice.pulse()
        for stream in printed:
            stream.log_stale()
        await asyncio.sleep(PULSE_INTERVAL)
