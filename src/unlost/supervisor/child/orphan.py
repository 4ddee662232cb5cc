"""A process that must not outlive its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, where the kernel can (Linux).

    That ends it even while a handler holds the interpreter's lock.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def watch_parent(parent: int, lifeline: int, status: int, told: Callable[[], None]) -> None:
    """Exit with `status` when `lifeline`, a pipe that only the parent writes, comes to its end.

    Also if the parent died before anybody looked.  What the parent writes there calls `told`, in
    another thread.
    """
    if os.getppid() != parent:
        os._exit(status)
    threading.Thread(
        target=_follow, args=(lifeline, status, told), name="lifeline", daemon=True
    ).start()


def _follow(lifeline: int, status: int, told: Callable[[], None]) -> None:
    while os.read(lifeline, 1):
        told()
    os._exit(status)
