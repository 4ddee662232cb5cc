"""Settling for workers that cannot any more: whoever sees their end, or their leases', does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unlost.batches import BatchSize
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Held, Settlement
from unlost.measuring import Recorder
from unlost.policy import Backoff
from unlost.settings import Settings
from unlost.task import Outcome
from unlost.telemetry import Log
from unlost.tracing import Tracing
from unlost.webhooks.notices import Notices
from unlost.worker import attempt
from unlost.worker.attempt import Draw, Ended

EVENTS = {
    Outcome.LOST: "attempt.lost",
    Outcome.RELEASED: "attempt.released",
    Outcome.TIMED_OUT: "attempt.timed_out",
}
"""How an attempt may end that its own worker did not settle."""


class Reaping:
    """Settles what workers left, in batches that are halved while the ledger does not take them.

    What held is counted by `recorder`, told to `tracing`, and has its line in `log`.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        draw: Draw,
        recorder: Recorder,
        tracing: Tracing,
        log: Log,
    ) -> None:
        self._ledger = ledger
        self._backoff: Backoff = settings.backoff
        self._draw = draw
        self._notices = Notices(settings)
        self._recorder = recorder
        self._tracing = tracing
        self._log = log
        self._size = BatchSize()

    async def settle(self, left: Sequence[Held], end: Callable[[Held], Ended]) -> None:
        """Settle these attempts, each as `end` has it.

        Raises LedgerUnavailable: then some may be settled, and `Ledger.held` tells the rest.
        """
        while left:
            batch, left = left[: self._size.now], left[self._size.now :]
            try:
                await self._settle(batch, end)
            except LedgerUnavailable:
                self._size = self._size.failed(len(batch))
                raise
            self._size = self._size.succeeded()

    async def _settle(self, batch: Sequence[Held], end: Callable[[Held], Ended]) -> None:
        ends = [attempt.settlement(one, end(one), self._backoff, self._draw) for one in batch]
        done = await self._notices.after_held(self._ledger, batch, ends)
        held = await self._ledger.settle(done)
        for one, settlement, good in zip(batch, done, held, strict=True):
            if good:  # else it was cancelled, or somebody else came first
                self._tell(one, settlement)

    def _tell(self, one: Held, settlement: Settlement) -> None:
        self._recorder.settled(one.type, settlement)
        self._tracing.reaped(one, settlement)
        told = {"taskId": one.task_id, "worker": one.worker}
        self._log.warning(EVENTS[settlement.outcome], extra=told)
