"""What is done again and again for as long as a process lasts, whatever one turn of it raises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from unlost.telemetry.logs import Log

LOG = Log("unlost.lasting")

TOLD_EVERY: Final = 60.0
"""Seconds between two lines about the same loop."""


async def lasting(name: str, turn: Callable[[], Awaitable[object]], every: float) -> NoReturn:
    """Take a turn, wait for `every` seconds, and so on until cancelled.

    What a turn raises is for its own code to handle.  What that has not foreseen is logged here,
    and ends no more than the turn: else its work would stop for good, and nobody would notice.
    """
    now = asyncio.get_running_loop().time
    silent_until = now()
    while True:
        try:
            await turn()
        except Exception:
            if now() >= silent_until:
                silent_until = now() + TOLD_EVERY
                LOG.exception("process.turn_failed", extra={"part": name})
        await asyncio.sleep(every)
