"""How the log tells that the ledger did not answer."""

from __future__ import annotations

from collections.abc import Mapping

from unlost.ledger.protocol import LedgerGone, LedgerUnavailable
from unlost.telemetry import Log


def log_unavailable(
    log: Log, error: LedgerUnavailable, told: Mapping[str, object] | None = None
) -> None:
    """Log why, with what is `told` beside; but not what the ledger itself has logged, once for
    all."""
    if not isinstance(error, LedgerGone):
        log.warning("ledger.unavailable", extra={"why": str(error), **(told or {})})
