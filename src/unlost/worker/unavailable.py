"""What a worker does while the ledger does not answer: it asks again, ever less often."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random

from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.unavailable import log_unavailable
from unlost.policy import Backoff
from unlost.telemetry.logs import Log

AGAIN = Backoff(base=0.1, cap=2.0)
"""How long to leave a ledger alone that does not answer."""


async def leave_alone(
    tries: int,
    error: LedgerUnavailable,
    random: Random,
    log: Log,
    told: Mapping[str, object] | None = None,
) -> None:
    """Wait after `tries` calls in a row that failed; the first is in the log, with what is `told`
    of it."""
    if tries == 1:
        log_unavailable(log, error, told)
    await asyncio.sleep(AGAIN.wait(tries, random.random()))
