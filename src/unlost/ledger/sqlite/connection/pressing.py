"""How those who write much make room for others who write little and had to wait for them: pure."""

from __future__ import annotations

from typing import Final

LITTLE: Final = 50
"""Items of a transaction of which is told that it waits, so that large ones make room."""

PRESSED: Final = 0.2
"""Seconds after such a one had to wait in which large ones make room."""

BESIDE: Final = 100
"""Letters redriven, or attempts claimed or settled, in one transaction meanwhile: each that is
small waits for one such transaction."""

REST: Final = 0.002
"""Seconds, at most, for which the lock is left alone meanwhile: as long as it was held.  So there
is a processor, too, for those who write little, and for whoever holds the lock."""

FEW: Final = 10
"""After so few tasks nobody rests: where single ones come, each is claimed as soon as it can be."""


class Pressing:
    """What one process has seen of others at the end of its own large transactions.  Times are
    seconds of one clock."""

    def __init__(self) -> None:
        self._until = 0.0
        self._rest = 0.0

    def at(self, now: float) -> bool:
        """Whether of late others who write little had to wait: what follows should be small."""
        return now < self._until

    def rest(self, now: float) -> float:
        """How long to leave the lock alone before the next large transaction."""
        return self._rest if self.at(now) else 0.0

    def see(self, now: float, *, waited: bool, moves: int, seconds: float) -> None:
        """A large transaction moved so many tasks and had the lock for so long; whether others
        `waited` for it who write little."""
        self._rest = min(seconds, REST) if moves > FEW else 0.0
        if waited:
            self._until = now + PRESSED
