"""Telling the ledger which types the functions serve, so that it knows which wait for nobody."""

from __future__ import annotations

import asyncio
from typing import Final

from unlost.handlers import Handlers
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Worker
from unlost.limits.why import EACH_ITS_OWN
from unlost.task import MAX_DELAY, SECOND, Micros
from unlost.telemetry.logs import Log

NAME: Final = "process"
"""What all sandboxes of the function are listed as; it holds no attempt, each has its own lease."""

LEASE: Final[Micros] = 100 * MAX_DELAY * SECOND

PATIENCE: Final = 2.0
"""Seconds that an invocation gives it."""

log = Log("unlost.aws.process")


class Serving:
    """Tells it once in the life of a sandbox: what is deployed last is what holds."""

    def __init__(self, ledger: Ledger, handlers: Handlers) -> None:
        self._ledger = ledger
        types = None if handlers.types is None else tuple(handlers.types)
        self._worker = Worker(NAME, types, slots=EACH_ITS_OWN, stand_in=handlers.stand_in)
        self._told = False

    async def tell(self) -> None:
        """Tell it, unless it was told, or there are no handlers; where that fails, the next
        invocation does."""
        if self._told or self._worker.types == ():
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._ledger.enlist(self._worker, LEASE)
        except (LedgerUnavailable, TimeoutError) as error:
            log.warning("ledger.unavailable", extra={"why": str(error)})
        else:
            self._told = True
