"""How the log tells that the ledger did not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from unlost.ledger.protocol import LedgerGone, LedgerUnavailable, LedgerUnfit
from unlost.telemetry.logs import Log
from unlost.telemetry.seldom import EVERY, RARELY, Seldom

_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, Seldom] = WeakKeyDictionary()
"""Of each event loop: whoever asks the ledger is told the same."""


def log_unavailable(
    log: Log, error: LedgerUnavailable, told: Mapping[str, object] | None = None
) -> None:
    """Log why, with what is `told` beside, and seldom again; but not what the ledger itself has
    logged, once for all."""
    if not isinstance(error, LedgerGone):
        lines = _lines.setdefault(asyncio.get_running_loop(), Seldom(log, "ledger.unavailable"))
        lines.tell(str(error), told, every=how_seldom(error))


def how_seldom(error: LedgerUnavailable) -> float:
    """Seconds between two lines about an error."""
    return RARELY if isinstance(error, LedgerUnfit) else EVERY
