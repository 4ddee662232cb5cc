"""How many go in one call of a step that may fail: pure."""

from __future__ import annotations

from typing import Final, Self

import msgspec

BATCH: Final = 500
"""The most that go to a ledger in one call."""


class BatchSize(msgspec.Struct, frozen=True):
    """How many go in the next call, `most` at first.

    What fails is never tried again whole, since it may fail because it is so much: half as many
    go after a call that failed, down to one, and twice as many after one that did not.
    """

    most: int = BATCH
    now: int = BATCH

    @classmethod
    def of(cls, most: int) -> Self:
        """At most so many."""
        return cls(most, most)

    @property
    def whole(self) -> bool:
        """Whether nothing is held back."""
        return self.now == self.most

    def failed(self, tried: int) -> BatchSize:
        """After a call that failed for so many."""
        return BatchSize(self.most, max(1, min(tried, self.now) // 2))

    def succeeded(self) -> BatchSize:
        """After a call that did not."""
        return self if self.whole else BatchSize(self.most, min(self.most, 2 * self.now))
