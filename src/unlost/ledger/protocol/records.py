"""Records: all tasks one after another, for the audit and for moving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from unlost.ledger.values import Copy, Counts, Entry, Verdict


class Records(Protocol):
    """All tasks, with the ledger's own marks."""

    async def counts(self) -> Counts:
        """The counters, in one snapshot."""
        ...

    async def entries(self, after: int, limit: int) -> list[Entry]:
        """Entries with a position above `after`, in order, with attempts and history."""
        ...

    async def copies(self, after: int, limit: int) -> list[tuple[int, Copy]]:
        """Tasks with a position above `after`, in order, each with all that is kept of it."""
        ...

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        """Keep tasks as another ledger kept them, with all that belongs to them.

        They survive a crash of everything once this returns.  In order; an id that is there
        already is a replay where the digest is equal, else a conflict, and stays as it is.  What
        runs stays so under a worker whose lease is over: it will be reaped.
        """
        ...
