"""How a worker claims: for its free slots, as soon as something may be due."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from unlost.batches import BatchSize
from unlost.ledger.protocol import LeaseOver, LedgerUnavailable
from unlost.ledger.values import Claimed
from unlost.telemetry.logs import Log
from unlost.worker import attempt
from unlost.worker.ending import Ending
from unlost.worker.executing import Executing
from unlost.worker.unavailable import leave_alone

log = Log("unlost.worker")


class Claiming(Executing):
    """Claims due tasks for the slots that are free, and starts them."""

    _size = BatchSize()

    async def _claim_to_the_last(self) -> Ending:
        """Claim until told to end; what still comes of a claim then goes back, and is not begun."""
        ending = await self._claim_until_told()
        await self._last_claim()
        return ending

    async def _claim_until_told(self) -> Ending:
        tries = empty = 0  # in a row
        while self._end.why is None:
            try:
                found = await self._claim_once(empty)
                tries, empty = 0, 0 if found else empty + 1
            except LedgerUnavailable as error:
                tries += 1
                await leave_alone(tries, error, self._random, log)
        return self._end.why

    async def _claim_once(self, empty: int) -> bool:
        """Claim for the free slots, and sleep if that found too little; whether it found any.

        `empty` claims before this one found nothing.
        """
        await self._settle_doubt()
        if self._end.told.is_set():
            return False
        self._hint.clear()
        self._freed.clear()
        free = self._room()
        if not free:
            await self._freed.wait()
            return True
        try:
            claimed = await self._claim(free)
        except LeaseOver:
            await self._renew_lease()
            return False
        if self._end.told.is_set():
            self._give_back(claimed)
            return False
        for one in claimed:
            self._recorder.started(one)
            self._runner.start(one)
        if len(claimed) < free:
            await self._sleep_until_due(0 if claimed else empty + 1)
        return bool(claimed)

    def _give_back(self, claimed: Iterable[Claimed]) -> None:
        for one in claimed:
            self._settle(one, attempt.RELEASED)

    async def _last_claim(self) -> None:
        """Give back at once what still comes of a claim that was made; return once nothing can."""

    def _room(self) -> int:
        """How many attempts may start now.

        None while a whole batch of those that ended is not settled: for the ledger they still run.
        """
        if self._settler.full:
            return 0
        used = len(self._runner) + len(self._stopping) + len(self._transactions or ())
        return min(self._slots - used, self._size.now)

    @abstractmethod
    async def _claim(self, count: int) -> list[Claimed]:
        """Start at most so many attempts.  Raises LeaseOver, LedgerUnavailable."""

    @abstractmethod
    async def _settle_doubt(self) -> None:
        """See what became of the last claim, where its answer was lost."""

    @abstractmethod
    async def _renew_lease(self) -> None:
        """Have a lease again, or end."""

    @abstractmethod
    async def _sleep_until_due(self, empty: int) -> None:
        """Sleep until a task may be due.

        After `empty` claims in a row that found nothing although something was said to be due
        (another worker took it, or it is not ours to take), a little longer each time.
        """

    @abstractmethod
    async def _listen(self) -> None:
        """Wake the claims when something may be due, until cancelled."""
