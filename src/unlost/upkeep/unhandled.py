"""Warns of tasks that wait and have no worker for their type."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from unlost.ledger.protocol import LedgerUnavailable, Records
from unlost.ledger.unavailable import log_unavailable
from unlost.telemetry.logs import Log

INTERVAL = 1.0
"""Seconds between two looks."""

PATIENCE = 3.0
"""Seconds that a type may be without a worker before it is warned of: one may be starting."""

WARN_AGAIN = 60.0
"""Seconds before the same type is warned of again."""

log = Log("unlost.unhandled")


class Unhandled:
    """Looks at what waits for nobody, in every role: it is the worker that is missing.

    `monotonic` is a time in seconds.
    """

    def __init__(self, ledger: Records, monotonic: Callable[[], float]) -> None:
        self._ledger = ledger
        self._monotonic = monotonic
        self._warn_at: dict[str, float] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                self._look((await self._ledger.counts()).unhandled)
            except LedgerUnavailable as error:
                log_unavailable(log, error)
            await asyncio.sleep(INTERVAL)

    def _look(self, names: tuple[str, ...]) -> None:
        now = self._monotonic()
        self._warn_at = {name: self._warn_at.get(name, now + PATIENCE) for name in names}
        for name, at in self._warn_at.items():
            if now >= at:
                self._warn_at[name] = now + WARN_AGAIN
                log.warning("task.unhandled", extra={"type": name})
