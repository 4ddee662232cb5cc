"""How a worker carries out what it claimed: runs it, looks whether it still runs, settles it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from random import Random
from typing import Protocol

from unlost.asked import names
from unlost.asked.submission import Rules
from unlost.batches import BATCH
from unlost.handlers import Handlers
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Claimed, Held, Settlement
from unlost.limits.control import Claimant
from unlost.settings import Settings
from unlost.telemetry.measuring import Recorder
from unlost.tracing import OFF, Tracing
from unlost.worker.attempt import Ended
from unlost.worker.effects.steps import StepLedger, Steps
from unlost.worker.effects.transactions import TransactingLedger, Transactions
from unlost.worker.ending import End, Ending
from unlost.worker.running.runner import Runner
from unlost.worker.running.threads import Threads
from unlost.worker.settling.settler import Settling, Unsettled
from unlost.worker.settling.stopping import HoldingBack

LOOK_FOR_DROPPED = 2.0
"""Seconds between looks for attempts that were cancelled or reaped."""


class Runs(StepLedger, Protocol):
    """Where it is known which attempts still run, and what their steps are."""

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        """Of these tokens (each with its task id), those that no longer run."""
        ...


class Executing(ABC):
    """Runs attempts in a worker's slots, and settles those that end, at most `batch` in one call.

    What it does is counted by `recorder` and told to `tracing`.
    """

    batch = BATCH

    def __init__(  # noqa: PLR0913  what handlers are run with
        self,
        runs: Runs,
        handlers: Handlers,
        settings: Settings,
        *,
        worker_id: str,
        random: Random,
        alone: bool = False,
        recorder: Recorder | None = None,
        tracing: Tracing = OFF,
        transacting: TransactingLedger | None = None,
    ) -> None:
        self.id = worker_id
        self._runs = runs
        self._types = handlers.types
        self._claimant = Claimant.STAND_IN if handlers.stand_in else Claimant.LOCAL
        self._settings = settings
        self._slots = 1 if alone else settings.concurrency
        self._random = random
        self._alone = alone
        self._tracing = tracing
        self._threads = Threads(self._slots)
        self._recorder = recorder or Recorder()
        self._transactions = (
            None if transacting is None else Transactions(transacting, settings.transactions, self)
        )
        concerns = None if self._transactions is None else self._transactions.concerns
        self._steps = Steps(runs, random, concerns or (lambda _: False))
        self._runner = self._running(handlers)
        self._hint = asyncio.Event()  # a task may be due
        self._freed = asyncio.Event()  # an attempt has ended, or is settled
        self._end = End(self._hint, self._freed)
        self._settler = self._settling()
        self._stopping = self._holding_back()

    def _running(self, handlers: Handlers) -> Runner:
        """What runs the handlers, with the steps and transactions that they ask for."""
        return Runner(
            handlers,
            self._threads,
            self.conclude if self._transactions is None else self._ended,
            lambda: self._end.tell(Ending.STUCK),
            self._recorder.timer,
            self._tracing,
            self._transactions,
            self._steps,
            rules=self._rules(),
        )

    def _rules(self) -> Rules:
        """What holds for the tasks that handlers submit."""
        legible = names.wanted_on(self._settings.ledger)
        return Rules(callbacks=self._settings.callbacks, legible=legible)

    @abstractmethod
    def _settling(self) -> Settling:
        """What settles the attempts that ended."""

    @abstractmethod
    def _holding_back(self) -> HoldingBack:
        """What holds back failures that a stop may have caused."""

    @property
    def busy(self) -> bool:
        """Whether a handler runs."""
        return len(self._runner) > 0

    def _ended(self, claimed: Claimed, ended: Ended | None, seconds: float) -> None:
        if self._transactions is not None and self._transactions.concerns(claimed.token):
            self._transactions.end(claimed, ended, seconds)
        else:
            self.conclude(claimed, ended, seconds)

    def conclude(self, claimed: Claimed, ended: Ended | None, seconds: float) -> None:
        """Settle an attempt that ended so, if anybody waits for it."""
        if ended is None:
            self._tracing.dropped(claimed.token)
        elif self._stopping.concerns(ended):
            self._stopping.hold(claimed, ended, seconds)
        else:
            self._settle(claimed, ended, seconds)
        self._freed.set()

    def runs(self, token: str) -> bool:
        """Whether this attempt's handler runs, and was not told to end."""
        return self._runner.runs(token)

    def makes_step(self, token: str) -> bool:
        """Whether a step of this attempt is under way."""
        return self._runner.makes_step(token)

    @abstractmethod
    def settlement(self, known: Claimed | Held, ended: Ended) -> Settlement:
        """What is to be told of this end."""

    def committed(self, claimed: Claimed, done: Settlement, seconds: float, held: bool) -> None:
        """An attempt was settled in its handler's transaction, or refused there."""
        self._tracing.ended(done)
        self._settler.settled(Unsettled(done, claimed.number, claimed.type, seconds), held=held)

    def doubted(self, claimed: Claimed, done: Settlement, seconds: float, otherwise: Ended) -> None:
        """An attempt may have been settled so, and has ended `otherwise` where it was not."""
        self._tracing.ended(done)
        failed = self.settlement(claimed, otherwise)
        self._settler.add(Unsettled(failed, claimed.number, claimed.type, seconds, perhaps=done))
        self._freed.set()

    def _settle(self, known: Claimed | Held, ended: Ended, seconds: float | None = None) -> None:
        done = self.settlement(known, ended)
        self._tracing.ended(done)
        self._settler.add(Unsettled(done, known.number, known.type, seconds))
        self._freed.set()  # for one that was held back

    async def _look_for_dropped(self) -> None:
        while True:
            await asyncio.sleep(LOOK_FOR_DROPPED)
            if not self.busy:
                continue
            try:
                self._runner.drop(await self._runs.dropped(self._runner.tokens()))
            except LedgerUnavailable:
                continue  # it is asked again soon
