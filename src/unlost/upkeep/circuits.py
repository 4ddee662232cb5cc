"""Warns of circuits that open, and tells when they have closed."""

from __future__ import annotations

import asyncio

from unlost.ledger.protocol import Controls, LedgerUnavailable
from unlost.ledger.unavailable import log_unavailable
from unlost.task import Micros
from unlost.telemetry.logs import Log
from unlost.times import rfc3339

INTERVAL = 1.0
"""Seconds between two looks: what opens and closes within them may pass unseen."""

log = Log("unlost.circuits")


class Circuits:
    """Looks at how breakers stand, in every role; each process tells what it sees, once."""

    def __init__(self, ledger: Controls) -> None:
        self._ledger = ledger
        self._open: dict[str, Micros] = {}  # since when

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except LedgerUnavailable as error:
                log_unavailable(log, error)
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Tell what has changed since the last look.  Raises LedgerUnavailable.

        A circuit that is half open, or opened again by a probe, counts as open all the time; one
        whose breaker was taken away as closed.
        """
        opened = {
            control.type: control.circuit.opened
            for control in await self._ledger.controls()
            if control.circuit.opened is not None
        }
        before, self._open = self._open, opened
        for name, since in before.items():
            if opened.get(name) != since:
                log.info("circuit.closed", extra=_told(name, since))
        for name, since in opened.items():
            if before.get(name) != since:
                log.warning("circuit.opened", extra=_told(name, since))


def _told(name: str, since: Micros) -> dict[str, str]:
    return {"type": name, "since": rfc3339(since)}
