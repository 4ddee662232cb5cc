"""Log lines for what may come many times a second: at once, then rarely, with how often it came."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from unlost.telemetry import Log

EVERY: Final = 10.0
"""Seconds between two lines that say the same."""

REASONS: Final = 50
"""Reasons that are told apart at one time."""

OTHERS: Final = "other reasons"


class Tells(Protocol):
    """Who is told why something is not answered."""

    def tell(self, why: str) -> None: ...


class Seldom:
    """Warns of one event, with `why`, and with `count`: how often it was so since the last line.

    For one event loop.
    """

    def __init__(self, log: Log, event: str, every: float = EVERY) -> None:
        self._log = log
        self._event = event
        self._every = every
        self._since: dict[str, int] = {}

    def tell(self, why: str) -> None:
        """Say it, or count it for the next line."""
        if why not in self._since and len(self._since) >= REASONS:
            why = OTHERS
        if why in self._since:
            self._since[why] += 1
        else:
            self._write(why, 1)

    def _write(self, why: str, count: int) -> None:
        self._log.warning(self._event, extra={"why": why, "count": count})
        self._since[why] = 0
        asyncio.get_running_loop().call_later(self._every, self._again, why)

    def _again(self, why: str) -> None:
        count = self._since.pop(why)
        if count:
            self._write(why, count)
