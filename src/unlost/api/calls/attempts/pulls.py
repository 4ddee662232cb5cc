"""What the calls of workers that claim by the API have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Protocol

from unlost.effects import Step
from unlost.ledger import protocol
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claimed, Settlement
from unlost.pull.tokens import Seal, Ticket
from unlost.settings import Settings
from unlost.telemetry.logs import Log
from unlost.telemetry.measuring import Recorder
from unlost.tracing import OFF
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.effects.follow_ups import settle
from unlost.worker.settling.concluding import Concluding
from unlost.worker.settling.reaping import Reaping

LOG = Log("unlost.api")


class PullingLedger(Ledger, protocol.Pulling, Protocol):
    """A ledger from which workers can claim by the API."""


class Pulls:
    """A ledger's attempts, as workers have them that claim by the API."""

    def __init__(
        self, ledger: PullingLedger, settings: Settings, recorder: Recorder, random: Random
    ) -> None:
        self.ledger = ledger
        self.recorder = recorder
        self.concluding = Concluding(settings, random)
        draw = attempt.draws(settings.seed, random)
        self._reaping = Reaping(ledger, settings, draw, recorder, OFF, LOG)
        self._secret = b""
        self._seal: Seal | None = None

    async def secret(self) -> bytes:
        """The ledger's own.  Raises LedgerUnavailable."""
        self._secret = self._secret or await self.ledger.effect_secret()
        return self._secret

    async def seal(self) -> Seal:
        """What makes tokens of this ledger's attempts.  Raises LedgerUnavailable."""
        if self._seal is None:
            self._seal = Seal(await self.secret())
        return self._seal

    async def lose(self, worker: str) -> None:
        """Settle as lost what a worker holds, if its lease is over.  Raises LedgerUnavailable.

        Another call of it may have done so just now, and begun a new lease: what that one was
        given stays.
        """
        left = [held for held in await self.ledger.held(None) if held.worker == worker]
        await self._reaping.settle(left, lambda _: attempt.LOST)

    async def settle(self, attempts: Sequence[Claimed], ended: Ended) -> list[Settlement | None]:
        """Settle attempts that have all ended so.  Raises LedgerUnavailable."""
        ends = [self.concluding.settlement(one, ended) for one in attempts]
        return await settle(self.ledger, ends)

    async def steps(self, attempts: Sequence[Claimed]) -> list[list[Step]]:
        """What is recorded of their tasks' steps: of first attempts nothing can be.

        Raises LedgerUnavailable.
        """

        later = [one.task_id for one in attempts if one.number > 1]
        read = (self.ledger.steps_of(task_id, results=True) for task_id in later)
        found = iter(await asyncio.gather(*read) if later else ())
        return [[] if one.number == 1 else next(found) for one in attempts]

    async def whole(self, ticket: Ticket) -> Ticket | None:
        """The ticket with all that it stands for; None where its task is not there.

        Raises LedgerUnavailable.
        """
        if ticket.whole:
            return ticket
        record = await self.ledger.get(ticket.task_id, ())
        return None if record is None else ticket.completed(record)
