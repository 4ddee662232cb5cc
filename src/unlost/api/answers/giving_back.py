"""Giving memory back to the system, once large answers are sent.

What is freed stays with the process where its C library is glibc, which keeps it for later and
for each thread.  It is told to let go of it, seldom enough to cost nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final

SOON: Final = 2.0
"""Seconds from when memory was freed until it is given back; it is so at most each time as long."""


async def giving_back(freed: asyncio.Event) -> None:
    """Give back what is free, soon after each time that `freed` is set, until cancelled."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await freed.wait()
        await asyncio.sleep(SOON)
        freed.clear()
        await asyncio.to_thread(trim, 0)
