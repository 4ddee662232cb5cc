"""Room on the ledger's disk that is kept for what was accepted already."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from unlost.ledger.opening import InFile
from unlost.ledger.protocol import Ledger, LedgerUnfit

LOOK_EVERY: Final = 1.0
"""Seconds for which a look at the disk holds."""

MIB: Final = 1024 * 1024


class DiskSpace:
    """Refuses new tasks while less than `least` MiB are free below a ledger in a file: attempts,
    ends and acts of those that were accepted find room then."""

    def __init__(
        self, ledger: Ledger, least: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._ledger = ledger if isinstance(ledger, InFile) and least else None
        self._least = least
        self._clock = clock
        self._looked: float | None = None
        self._free: float | None = None  # MiB; None: not known

    def check(self) -> None:
        """Raises LedgerUnfit."""
        if self._ledger is None:
            return
        now = self._clock()
        if self._looked is None or now >= self._looked + LOOK_EVERY:
            self._looked, self._free = now, _free(self._ledger)
        if self._free is not None and self._free < self._least:
            raise LedgerUnfit(
                f"{self._free:.0f} MiB are free on the ledger's disk, and submits are refused "
                f"below {self._least:g} (--min-free): free space on it, or purge",
                words="takes no more tasks, since its disk is nearly full",
            )


def _free(ledger: InFile) -> float | None:
    try:
        return ledger.free() / MIB
    except OSError:
        return None  # the ledger itself says what is the matter
