"""Giving memory back to the system: what large answers took, once they are sent, and what small
calls have left.

What is freed stays with the process where its C library is glibc, which keeps it for later and
for each thread.  What thousands of calls free lies between what stays, so that the heap grows for
hours though no more of it is in use.  The library is told to let go of it, seldom enough to cost
nothing: it takes two milliseconds.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Final

SOON: Final = 2.0
"""Seconds from when much memory was freed until it is given back; it is so at most each time as
long."""

EVERY: Final = 60.0
"""Seconds after which it is given back in any case."""


async def giving_back(freed: asyncio.Event) -> None:
    """Give back what is free, again and again, and soon after `freed` is set, until cancelled."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await freed.wait()
        await asyncio.sleep(SOON)
        freed.clear()
        await asyncio.to_thread(trim, 0)
