"""A step of a redrive, as a message asks for it."""

from __future__ import annotations

from unlost.aws.attempting import Fate
from unlost.ledger.protocol import LedgerUnavailable, Redrives, UnknownRedrive
from unlost.ledger.unavailable import log_unavailable
from unlost.task import SECOND, Micros
from unlost.telemetry.logs import Log

SURE: Micros = 2 * SECOND
"""How much later than an end a step must have begun to have seen it: an end is stored after the
time that it has, and clocks differ.  Less than messages of ends are held back."""

log = Log("unlost.aws.process")


class Redriving:
    """Makes the steps that messages ask for."""

    def __init__(self, ledger: Redrives) -> None:
        self._ledger = ledger

    async def step(self, redrive_id: str, at: Micros | None) -> Fate:
        """Make a step, unless one has been made that has seen what happened at `at`."""
        try:
            if at is not None:
                redrive = await self._ledger.get_redrive(redrive_id)
                if redrive is None or redrive.updated_at >= at + SURE:
                    return Fate.DONE
            await self._ledger.step_redrive(redrive_id)
        except UnknownRedrive:  # it ended long ago
            return Fate.DONE
        except LedgerUnavailable as error:
            log_unavailable(log, error)
            return Fate.NO_LEDGER
        return Fate.DONE
