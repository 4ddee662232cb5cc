"""Settlements on their way to the ledger."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from random import Random

import msgspec

from unlost.batches import BatchSize
from unlost.ledger.protocol import LedgerGone, LedgerUnavailable
from unlost.ledger.values import Part, Settlement
from unlost.telemetry.logs import Log
from unlost.telemetry.measuring import Recorder
from unlost.tracing import OFF, Tracing
from unlost.worker.effects.follow_ups import FollowUpLedger, settle
from unlost.worker.unavailable import leave_alone

MOST_BYTES = 4 * 1024 * 1024
"""About how many bytes of follow-ups one call brings."""

log = Log("unlost.worker.settling")


class Unsettled(msgspec.Struct, frozen=True, gc=False):
    """An attempt to be settled, its number, and what is counted once it is (see
    `Recorder.settled`).  `perhaps` it was settled so already, elsewhere."""

    settlement: Settlement
    number: int
    type: str
    seconds: float | None
    perhaps: Settlement | None = None


class Settling(ABC):
    """Settles attempts in batches, oldest first, and records them.

    What was not taken is brought again until there is an answer, in smaller batches, and what was
    not taken alone after the others; nothing is dropped before the ledger's file is gone.
    `settled` is called whenever some were taken.
    """

    def __init__(
        self,
        random: Random,
        recorder: Recorder,
        tracing: Tracing = OFF,
        *,
        settled: Callable[[], None] = lambda: None,
        size: BatchSize = BatchSize(),  # noqa: B008  an immutable value
    ) -> None:
        self._recorder = recorder
        self._tracing = tracing
        self._random = random
        self._settled = settled
        self._size = size
        self._failures = 0  # since the ledger last took whole batches, or all there was
        self._waiting: list[Unsettled] = []
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, one: Unsettled) -> None:
        """Have an attempt settled."""
        if not self._waiting:
            self._some.set()
            self._none.clear()
        self._waiting.append(one)

    def settled(self, one: Unsettled, *, held: bool) -> None:
        """Record an attempt that was settled elsewhere or, where that has not `held`, refused."""
        self._tell([one], [one.settlement if held else None])

    @property
    def full(self) -> bool:
        """Whether a whole batch is not settled yet: no further attempts should start."""
        return len(self._waiting) >= self._size.most

    @property
    def tokens(self) -> set[str]:
        """The attempts that are not settled yet."""
        return {one.settlement.token for one in self._waiting}

    async def all_settled(self) -> None:
        """Return once nothing waits."""
        await self._none.wait()

    async def run(self) -> None:
        """Settle what is added, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                await self._bring(self._next())
            self._none.set()

    def _next(self) -> list[Unsettled]:
        """The oldest, as many as one call brings, and none after those that are heavy together."""
        batch, room = self._waiting[: self._size.now], MOST_BYTES
        for number, one in enumerate(batch):
            for follow_up in one.settlement.submit:
                room -= len(follow_up.submission.payload)
            if room <= 0:
                return batch[: number + 1]
        return batch

    async def _bring(self, batch: list[Unsettled]) -> None:
        """Bring the oldest to the ledger."""
        try:
            held = await self._settle(batch)
        except LedgerGone:  # nobody settles them before the ledger is opened anew, and reaps them
            self._waiting.clear()
            return
        except LedgerUnavailable as error:
            await self._put_off(batch, error)
            return
        del self._waiting[: len(batch)]
        self._size = self._size.succeeded()
        if self._size.whole or not self._waiting:
            self._failures = 0
        self._tell(batch, held)

    async def _put_off(self, batch: list[Unsettled], error: LedgerUnavailable) -> None:
        """Leave the ledger alone for a while; then fewer are brought."""
        self._size = self._size.failed(len(batch))
        if len(batch) == 1:  # it alone may be in the way
            self._waiting.append(self._waiting.pop(0))
        self._failures += 1
        told = {"settlements": len(batch), "next": self._size.now}
        await leave_alone(self._failures, error, self._random, log, told)

    @abstractmethod
    async def _settle(self, batch: Sequence[Unsettled]) -> list[Settlement | None]:
        """Settle; what has held of each, now or in a call whose answer was lost.

        Raises LedgerUnavailable.
        """

    def _tell(self, batch: Sequence[Unsettled], held: Sequence[Settlement | None]) -> None:
        self._tracing.settled([one.settlement for one in batch], held)
        for one, done in zip(batch, held, strict=True):
            if done is not None:
                self._recorder.settled(one.type, done, one.seconds)
            else:  # cancelled, or reaped and perhaps run by another
                told = {"taskId": one.settlement.task_id, "outcome": one.settlement.outcome}
                log.info("attempt.refused", extra=told)
        self._settled()


class Settler(Settling):
    """Settles attempts in a ledger."""

    def __init__(
        self,
        ledger: FollowUpLedger,
        random: Random,
        recorder: Recorder,
        tracing: Tracing = OFF,
        *,
        settled: Callable[[], None] = lambda: None,
        size: BatchSize = BatchSize(),  # noqa: B008  an immutable value
    ) -> None:
        super().__init__(random, recorder, tracing, settled=settled, size=size)
        self._ledger = ledger
        self._doubted: set[str] = set()  # tokens of which a call failed: it may have been done

    async def _settle(self, batch: Sequence[Unsettled]) -> list[Settlement | None]:
        try:
            return await self._settle_once(batch)
        except LedgerUnavailable:
            self._doubted.update(one.settlement.token for one in batch)
            raise

    async def _settle_once(self, batch: Sequence[Unsettled]) -> list[Settlement | None]:
        held = await settle(self._ledger, [one.settlement for one in batch])
        refused = [n for n, done in enumerate(held) if done is None and self._in_doubt(batch[n])]
        if refused:
            before = await asyncio.gather(*(self._held_before(batch[n]) for n in refused))
            for n, done in zip(refused, before, strict=True):
                held[n] = done
        if self._doubted:
            self._doubted.difference_update(one.settlement.token for one in batch)
        return held

    def _in_doubt(self, one: Unsettled) -> bool:
        """Whether it may have been settled before."""
        return one.perhaps is not None or one.settlement.token in self._doubted

    async def _held_before(self, one: Unsettled) -> Settlement | None:
        """That of its settlements by which this very attempt has ended, if any."""
        record = await self._ledger.get(one.settlement.task_id, (Part.ATTEMPTS,))
        conflicts = [follow_up.conflict for follow_up in one.settlement.submit]
        possible = (one.settlement, one.perhaps, *conflicts)
        for end in () if record is None else record.attempts:
            for done in possible:
                if done is not None and (end.number, end.outcome) == (one.number, done.outcome):
                    return done.by_breaker if end.excused and not done.excused else done
        return None
