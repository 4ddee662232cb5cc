"""Who follows a hint at once, and who a little later.

All workers that wait hear of a task, and one of them gets it.  The claims of the others are in
vain, and take the processor from the one that is not.  So who lost the last race waits a moment,
and then only looks whether anything is left.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from unlost.ledger.waking import Woken

LOOKS: Final = 10
"""Looks in a row, after which there is a claim: by it marks move on, and a lease's end is heard
of."""


class Race:
    """What one ledger object knows of the races for what hints tell of.

    Who lost the last one follows a hint `later`, in seconds: time enough for whoever won it, if it
    is there and has room, and little beside what else a start takes, if it is not.
    """

    def __init__(self, later: float) -> None:
        self._later = later
        self.claims = False  # whether any have been made
        self._lost = False
        self._first = False  # whether the next claim is to follow a hint that came first
        self._looks = 0  # in a row
        self._hinted = False  # while no claim was under way
        self._types: Collection[str] | None = None  # that the last claim was for
        self._claims = 0  # that are under way

    def hinted(self, types: Woken, *, first: bool = False) -> float:
        """How many seconds later the hint that has come is to be followed.

        What one is about that came `first` can be claimed, but perhaps not be seen yet: whatever
        else is heard before the next claim, it does not look first.

        One of other types is about no race of ours: whoever looks for ours each second only, since
        nothing tells of them, has to claim.
        """
        self._first = self._first or first
        ours = types is None or self._types is None or not types.isdisjoint(self._types)
        self._hinted = self._hinted or (ours and not self._claims)
        return self._later if self._lost and not self._first else 0.0

    def begin(self, types: Collection[str] | None) -> bool:
        """A claim of these types begins; whether it follows a hint."""
        self.claims = True
        self._types = types
        hinted, self._hinted = self._hinted, False
        self._claims += 1
        return hinted

    def looks_first(self, *, hinted: bool) -> bool:
        """Whether it is to be seen first if anything is left to be claimed."""
        first, self._first = self._first, False
        self._looks = self._looks + 1 if hinted and self._lost and not first else 0
        return self._looks % (LOOKS + 1) != 0

    def end(self, *, hinted: bool, found: bool) -> None:
        """It has ended."""
        self._claims -= 1
        if hinted or found:
            self._lost = not found
