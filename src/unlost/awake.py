"""Waiting for so many seconds in which this process runs.

A time limit that has passed while the process was paused, as its machine may be, would end a step
whose answer has come meanwhile: what it has taken would be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

LOOKS: Final = 10
"""Parts of the time, of which a pause takes one, however long it is."""


async def within(seconds: float, step: Coroutine[Any, Any, T]) -> T:
    """What the step gives.  Raises TimeoutError where it does not end in time; it is cancelled
    then."""
    running = asyncio.create_task(step)
    try:
        for _ in range(LOOKS):
            await asyncio.wait([running], timeout=seconds / LOOKS)
            if running.done():
                return running.result()
        raise TimeoutError
    finally:
        running.cancel()
        await asyncio.wait([running])
