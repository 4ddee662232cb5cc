"""How fast a backlog is worked off, from looks at how much is left: pure."""

from __future__ import annotations

from typing import Final

LIMIT: Final = 60.0
"""Seconds after which it counts as far as it is worked off."""


class Backlog:
    """So many tasks that wait at a moment, in seconds of any clock."""

    def __init__(self, now: float, waiting: int) -> None:
        self._first = self._left = waiting
        self._until = now + LIMIT
        self._began = self._seen = now

    def saw(self, now: float, left: int | None) -> None:
        """So many were left at a look; None: there was no answer."""
        self._seen = now
        if left is None:
            return
        self._left = left
        if left >= self._first:
            self._began = now  # its workers still start

    @property
    def over(self) -> bool:
        """Whether nothing is left, or its time is over."""
        return self._left == 0 or self._seen >= self._until

    @property
    def rate(self) -> float:
        """Tasks a second since the last look at which all of them waited."""
        done = self._first - self._left
        return done / (self._seen - self._began) if done > 0 else 0.0
