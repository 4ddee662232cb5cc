"""How a worker carries out what it claimed: runs it, looks whether it still runs, settles it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Protocol

from unlost.batches import BATCH, BatchSize
from unlost.handlers import Handlers
from unlost.ledger.protocol import Hints, LedgerUnavailable, Workers
from unlost.ledger.values import Claimed, Held
from unlost.measuring import Recorder
from unlost.settings import Settings
from unlost.tracing import OFF, Tracing
from unlost.webhooks.notices import Notices
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.ending import End, Ending
from unlost.worker.running import Runner
from unlost.worker.settling import Settler, SettlingLedger, Unsettled
from unlost.worker.stopping import Stopping
from unlost.worker.threads import Threads

LOOK_FOR_DROPPED = 2.0
"""Seconds between looks for attempts that were cancelled or reaped."""


class WorkerLedger(SettlingLedger, Workers, Hints, Protocol):
    """What a worker needs of a ledger."""


class Executing:
    """Runs attempts in a worker's slots, and settles those that end, at most `batch` in one call.

    What it does is counted by `recorder` and told to `tracing`.
    """

    batch = BATCH

    def __init__(
        self,
        ledger: WorkerLedger,
        handlers: Handlers,
        settings: Settings,
        *,
        worker_id: str,
        random: Random,
        alone: bool = False,
        recorder: Recorder | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        self.id = worker_id
        self._ledger = ledger
        self._types = handlers.types
        self._settings = settings
        self._backoff = settings.backoff
        self._slots = 1 if alone else settings.concurrency
        self._random = random
        self._alone = alone
        self._draw = attempt.draws(settings.seed, random)
        self._notices = Notices(settings)
        self._tracing = tracing
        self._threads = Threads(self._slots)
        self._recorder = recorder or Recorder()
        self._runner = Runner(
            handlers,
            self._threads,
            self._ended,
            lambda: self._end.tell(Ending.STUCK),
            self._recorder.timer,
            tracing,
        )
        self._hint = asyncio.Event()  # a task may be due
        self._freed = asyncio.Event()  # an attempt has ended, or is settled
        self._settler = Settler(
            ledger,
            random,
            self._recorder,
            tracing,
            settled=self._freed.set,
            size=BatchSize.of(self.batch),
        )
        self._end = End(self._hint, self._freed)
        self._stopping = Stopping(ledger, random, self._settle)

    @property
    def busy(self) -> bool:
        """Whether a handler runs."""
        return len(self._runner) > 0

    def _ended(self, claimed: Claimed, ended: Ended | None, seconds: float) -> None:
        if ended is None:
            self._tracing.dropped(claimed.token)
        elif self._stopping.concerns(ended):
            self._stopping.hold(claimed, ended, seconds)
        else:
            self._settle(claimed, ended, seconds)
        self._freed.set()

    def _settle(self, known: Claimed | Held, ended: Ended, seconds: float | None = None) -> None:
        done = attempt.settlement(known, ended, self._backoff, self._draw)
        if isinstance(known, Claimed):
            done = self._notices.after(done, known)
        self._tracing.ended(done)
        self._settler.add(Unsettled(done, known.number, known.type, seconds))
        self._freed.set()  # for one that was held back

    async def _look_for_dropped(self) -> None:
        while True:
            await asyncio.sleep(LOOK_FOR_DROPPED)
            if not self.busy:
                continue
            try:
                self._runner.drop(await self._ledger.dropped(self._runner.tokens()))
            except LedgerUnavailable:
                continue  # it is asked again soon
