"""The worker that claims by a service's API."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random
from typing import Final

from unlost.asked.submission import Rules
from unlost.batches import BatchSize
from unlost.handlers import Handlers
from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit
from unlost.ledger.values import Claimed, Held, Settlement
from unlost.pulling import ends
from unlost.pulling.board import Board
from unlost.pulling.claims import Attempts, Claims
from unlost.pulling.ends import PullHoldingBack, PullSettling
from unlost.pulling.holding import Holding
from unlost.pulling.service import Busy, Service
from unlost.settings import Settings
from unlost.tracing import OFF, Tracing
from unlost.webhooks.target import Reach
from unlost.worker.attempt import Ended
from unlost.worker.effects.follow_ups import brought
from unlost.worker.ending import Ending
from unlost.worker.settling.settler import Settling
from unlost.worker.settling.stopping import HoldingBack
from unlost.worker.working import Working

WAIT: Final = 2.0
"""Seconds that a claim waits for something to do.  A worker that ends waits for the answer: what
it gives is released, and a connection that is cut off could lose it."""

EARLY: Final = 0.5
"""Seconds: a claim that found nothing in less was not let wait."""

LONGEST_PAUSE: Final = 1.0
"""Seconds, at most, between two such claims."""

LONGEST_WAIT: Final = 30.0
"""Seconds, at most, for which a service that asks for it is left alone."""


class Puller(Working):
    """Runs attempts that a service gives.  Somebody else extends its lease.

    A puller that runs `alone` claims one attempt at a time and holds nothing meanwhile, so that it
    is given what has to run alone; it stops once it was given something else, or nothing.
    """

    def __init__(
        self,
        service: Service,
        handlers: Handlers,
        settings: Settings,
        *,
        worker_id: str,
        random: Random,
        board: Board,
        alone: bool = False,
        tracing: Tracing = OFF,
    ) -> None:
        """`handlers` name the types that they serve."""
        self._service = service
        self._board = board
        self._holding = Holding(service, worker_id, settings.lease, board)
        self._claims = Claims(service, worker_id, handlers.types or {}, settings.lease, random)
        self._last = False  # whether the last claim gave nothing that has to run alone
        self._early = False  # whether the last claim's answer came at once
        self._lone: set[str] = set()
        self._first: Attempts = ()  # what the first claim gave
        super().__init__(
            self._holding,
            handlers,
            settings,
            worker_id=worker_id,
            random=random,
            alone=alone,
            tracing=tracing,
        )

    def _rules(self) -> Rules:
        return Rules(callbacks=Reach.ANY)  # the service has rules of its own

    def _settling(self) -> Settling:
        return PullSettling(
            self._service,
            self._holding,
            self._random,
            self._recorder,
            self._tracing,
            settled=self._freed.set,
            size=BatchSize.of(self.batch),
        )

    def _holding_back(self) -> HoldingBack:
        return PullHoldingBack(self._settle)

    def settlement(self, known: Claimed | Held, ended: Ended) -> Settlement:
        """What the service is to be told of this end."""
        done = ends.settlement(known, ended)
        if not isinstance(known, Claimed):
            return done
        return brought(done, known, ended.submit, self._tracing)

    def conclude(self, claimed: Claimed, ended: Ended | None, seconds: float) -> None:
        """Settle an attempt that ended so, if anybody waits for it."""
        self._lone.discard(claimed.token)
        if ended is None:
            self._holding.over([claimed.token])
        super().conclude(claimed, ended, seconds)

    async def _enlist(self) -> None:
        """Claim for the first time.  Raises LedgerUnfit where the service will not have it."""
        try:
            count = 1 if self._alone else self._room()
            self._first = await self._claims.ask(count, 0.0, self._hint) or ()
        except LedgerUnfit as error:
            types = ", ".join(sorted(self._types or ()))
            raise LedgerUnfit(f"{error}; this worker would serve {types}") from None
        except LedgerUnavailable:  # the same claim comes again
            pass

    async def _settle_doubt(self) -> None:
        """The same claim comes again."""

    async def _renew_lease(self) -> None:
        """A claim does that."""

    async def _listen(self) -> None:
        """The service lets claims wait."""
        await asyncio.Event().wait()

    def _room(self) -> int:
        if self._lone:  # nothing is given beside it
            return 0
        return super()._room()

    async def _claim(self, count: int) -> list[Claimed]:
        """Start at most so many attempts."""
        if self._alone:
            await self._settler.all_settled()
            if self._last:
                self._end.tell(Ending.NOTHING_DUE)
                return []
        began = asyncio.get_running_loop().time()
        found: Attempts | None
        found, self._first = self._first, ()
        try:
            if not found:
                found = await self._claims.ask(count, 0.0 if self._alone else WAIT, self._hint)
        except LedgerUnavailable as error:
            self._size = self._size.failed(count)
            if isinstance(error, Busy):
                await self._end_within(error.wait)
            raise
        if found is None:
            return []
        self._size = self._size.succeeded()
        self._early = asyncio.get_running_loop().time() - began < EARLY
        self._last = not any(one.alone for one in found)
        if lone := {one.token for one in found if one.alone}:
            self._lone |= lone
            self._runner.drop([*self._runner.tokens()])  # it came to one that holds nothing
        return self._holding.add(found)

    async def _last_claim(self) -> None:
        self._give_back(self._holding.add((*self._first, *await self._claims.rest())))

    async def _sleep_until_due(self, empty: int) -> None:
        """Claims wait themselves; where they are not let wait, pause a little longer each time."""
        if self._alone and empty:
            self._end.tell(Ending.NOTHING_DUE)
        elif empty and self._early:
            await self._end_within(min(LONGEST_PAUSE, 0.05 * 2 ** min(empty, 10)))

    async def _end_within(self, seconds: float) -> None:
        """Return after so many seconds, or as soon as it is to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, LONGEST_WAIT)):
                await self._hint.wait()
