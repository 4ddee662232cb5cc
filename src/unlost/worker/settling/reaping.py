"""Settling for workers that cannot any more: whoever sees their end, or their leases', does it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from unlost.batches import BatchSize
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Held, Settlement
from unlost.policy import Backoff
from unlost.settings import Settings
from unlost.task import Outcome
from unlost.telemetry.logs import Log
from unlost.telemetry.measuring import Recorder
from unlost.tracing import Tracing
from unlost.webhooks.notices import Notices
from unlost.worker import attempt
from unlost.worker.attempt import Draw, Ended
from unlost.worker.effects.follow_ups import settle

EVENTS = {
    Outcome.LOST: "attempt.lost",
    Outcome.RELEASED: "attempt.released",
    Outcome.TIMED_OUT: "attempt.timed_out",
}
"""How an attempt may end that its own worker did not settle."""


FAILURES: Final = 12
"""Batches that the ledger may not take before the rest is left for the next time; one record in
the way of five hundred others is found with ten."""


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
        self._max_excused = settings.max_excused
        self._notices = Notices(settings)
        self._recorder = recorder
        self._tracing = tracing
        self._log = log
        self._size = BatchSize()
        self._refused: dict[str, None] = {}  # tokens that were not taken alone, longest ago first

    async def settle(
        self,
        left: Sequence[Held],
        end: Callable[[Held], Ended],
        ping: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Settle these attempts, each as `end` has it.

        What the ledger does not take, since somebody has locked a record, say, is brought again in
        halves after all others, for as long as `ping` says that it takes other writes; what it
        did not take alone comes last the next time.  Raises LedgerUnavailable where some are left:
        `Ledger.held` tells which.
        """
        failures: list[LedgerUnavailable] = []
        batches = self._batches(left)
        while batches:
            batch = batches.popleft()
            try:
                await self._settle(batch, end)
            except LedgerUnavailable as error:
                failures.append(error)
                self._size = self._size.failed(len(batch))
                self._put_back(batches, batch)
                await (ping or self._ledger.ping)()
                if len(failures) == FAILURES:
                    break
            else:
                self._size = self._size.succeeded()
        if failures:
            raise failures[-1]

    def _batches(self, left: Sequence[Held]) -> deque[Sequence[Held]]:
        by_token = {one.token: one for one in left}
        self._refused = {token: None for token in self._refused if token in by_token}
        fresh = [one for one in left if one.token not in self._refused]
        size = self._size.now
        batches = deque[Sequence[Held]](
            fresh[start : start + size] for start in range(0, len(fresh), size)
        )
        batches.extend([by_token[token]] for token in self._refused)
        return batches

    def _put_back(self, batches: deque[Sequence[Held]], batch: Sequence[Held]) -> None:
        if half := len(batch) // 2:
            batches += batch[:half], batch[half:]
        else:
            self._refused.pop(batch[0].token, None)
            self._refused[batch[0].token] = None

    async def _settle(self, batch: Sequence[Held], end: Callable[[Held], Ended]) -> None:
        ends = [
            attempt.settlement(one, end(one), self._backoff, self._draw, self._max_excused)
            for one in batch
        ]
        done = await self._notices.after_held(self._ledger, batch, ends)
        for one, held in zip(batch, await settle(self._ledger, done), strict=True):
            if held is not None:  # else it was cancelled, or somebody else came first
                self._tell(one, held)

    def _tell(self, one: Held, settlement: Settlement) -> None:
        self._recorder.settled(one.type, settlement)
        self._tracing.reaped(one, settlement)
        told = {"taskId": one.task_id, "worker": one.worker}
        self._log.warning(EVENTS[settlement.outcome], extra=told)
