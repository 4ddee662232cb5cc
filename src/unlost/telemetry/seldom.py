"""Log lines for what may come many times a second: at once, then rarely, with how often it came."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from unlost.telemetry.logs import Log

EVERY: Final = 10.0
"""Seconds between two lines that say the same."""

RARELY: Final = 300.0
"""The same for what does not pass by itself."""

REASONS: Final = 50
"""Reasons that are told apart at one time."""

OTHERS: Final = "other reasons"

_Key = tuple[str, frozenset[str]]
"""A reason, and the names of what is told beside it."""


class Tells(Protocol):
    """Who is told why something is not answered; `every` so many seconds, while it is so."""

    def tell(self, why: str, *, every: float = EVERY) -> None: ...


class Seldom:
    """Warns of one event, with `why`, and with `count`: how often it was so since the last line.

    For one event loop.
    """

    def __init__(self, log: Log, event: str) -> None:
        self._log = log
        self._event = event
        self._since: dict[_Key, int] = {}

    def tell(
        self, why: str, told: Mapping[str, object] | None = None, *, every: float = EVERY
    ) -> None:
        """Say it with what is `told` beside, or count it for the line that comes `every` seconds
        later."""
        key = why, frozenset(told or ())
        if key not in self._since and len(self._since) >= REASONS:
            key = OTHERS, frozenset()
        if key in self._since:
            self._since[key] += 1
        else:
            self._write(key, 1, told or {}, every)

    def _write(self, key: _Key, count: int, told: Mapping[str, object], every: float) -> None:
        self._log.warning(self._event, extra={"why": key[0], "count": count, **told})
        self._since[key] = 0
        asyncio.get_running_loop().call_later(every, self._again, key, told, every)

    def _again(self, key: _Key, told: Mapping[str, object], every: float) -> None:
        count = self._since.pop(key)
        if count:
            self._write(key, count, told, every)
