"""How fast something goes, and how long it will take.  Pure; time is passed in, in seconds."""

from __future__ import annotations

from collections import deque

WINDOW = 15.0
"""Seconds over which a rate is taken."""


class Pace:
    """What a work with `total` to be read has shown of its speed; None: nobody knows how much.

    `read` is how far it is, by the measure of `total`; `taken` counts what is rated.
    """

    def __init__(self, total: int | None, at: float, read: int, taken: int) -> None:
        self._total = total
        self._seen = deque([(at, read, taken)])

    def observe(self, at: float, read: int, taken: int) -> None:
        """Take note of how far it is."""
        self._seen.append((at, read, taken))
        while len(self._seen) > 2 and self._seen[1][0] <= at - WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Taken in a second, of late."""
        (start, _, before), (end, _, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - start) if end > start else 0.0

    @property
    def left(self) -> float | None:
        """Seconds until all is read, if it goes on as of late; None where that cannot be told."""
        (start, before, _), (end, after, _) = self._seen[0], self._seen[-1]
        if not self._total or after <= before or end <= start:
            return None
        return max(self._total - after, 0) * (end - start) / (after - before)


def span(seconds: float) -> str:
    """A time to wait, in the two largest units that matter."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02} h"
