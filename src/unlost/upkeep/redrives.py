"""Lets redrives go on: a step of each that is open, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from unlost.ledger.protocol import LedgerUnavailable, Redrives, UnknownRedrive
from unlost.ledger.unavailable import log_unavailable
from unlost.ledger.values import RedrivePlace
from unlost.redrive import GOING, MOST_UNDER_WAY, Redrive, RedriveState
from unlost.task import SECOND, Micros
from unlost.telemetry.logs import Log

INTERVAL: Final = 1.0
"""Seconds between two looks for open redrives, and between their steps while nothing ends."""

LEAST, SOON = 0.002, 0.02
"""Seconds, at least and at most, after a step by which many letters have ended, or were taken, so
that those under way never run out: what ends meanwhile makes one batch of the next one.  Twice as
long after each by which few have."""

ENOUGH: Final = 0.35
"""What share of those under way is to end between two steps: with less the steps weigh more than
what they bring, with more the workers would find less than they have room for."""

FEW: Final = 0.125
"""Few have ended where that is a smaller share of those that were under way."""

ROOM: Final = MOST_UNDER_WAY // 4
"""For fewer letters no step is made at once."""

KEPT: Final[Micros] = 90 * 24 * 3_600 * SECOND
"""How long redrives are kept after their end."""

PURGE_EVERY: Final = 3_600
"""Seconds between two looks for what is older."""

AT_ONCE: Final = 1_000
"""Redrives looked up, or removed, in one step."""

log = Log("unlost.redrives")


class Redriving:
    """Steps all open redrives of a ledger, in any number of processes at once.

    `clock` is the ledger's time, `monotonic` one in seconds.
    """

    def __init__(
        self, ledger: Redrives, *, clock: Callable[[], Micros], monotonic: Callable[[], float]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[str, Redrive] = {}
        self._failed: set[str] = set()  # those whose last step failed
        self._purge_at = 0.0
        self._between = SOON / 2  # seconds between steps by which many have ended

    async def run(self) -> None:
        """Step until cancelled."""
        pause = INTERVAL
        while True:
            try:
                moved = await self.step()
                pause = moved if moved is not None else min(INTERVAL, max(SOON / 2, 2 * pause))
            except LedgerUnavailable as error:
                log_unavailable(log, error)
                pause = INTERVAL
            try:
                await self.purge()
            except LedgerUnavailable as error:
                log_unavailable(log, error)
            await (self._ledger.begun(pause) if pause > SOON else asyncio.sleep(pause))

    async def step(self) -> float | None:
        """A step of each open redrive; seconds until the next ones, None where little came of
        these.  One that fails keeps no other from its step.  Raises LedgerUnavailable where that
        is what became of all."""
        pauses: list[float | None] = []
        unavailable: LedgerUnavailable | None = None
        before, self._known = self._known, {}
        stepped: set[str] = set()
        async for redrive_id in self._open():
            stepped.add(redrive_id)
            last = before.get(redrive_id)
            try:
                redrive = await self._ledger.step_redrive(redrive_id)
            except UnknownRedrive:
                continue
            except Exception as error:  # a redrive's own fault must not hold up the others
                if isinstance(error, LedgerUnavailable):
                    unavailable = error
                if redrive_id not in self._failed:  # told once, until a step of it succeeds
                    told = {"redrive": redrive_id, "why": str(error)}
                    log.warning("redrive.failed", extra=told, exc_info=error is not unavailable)
                self._failed.add(redrive_id)
                if last is not None:
                    self._known[redrive_id] = last
                continue
            self._failed.discard(redrive_id)
            self._known[redrive_id] = redrive
            if redrive != last:
                _tell(last, redrive)
                pauses.append(self._pause(last, redrive))
        self._failed &= stepped
        if unavailable is not None and self._failed == stepped:
            raise unavailable
        return min((one for one in pauses if one is not None), default=None)

    async def _open(self) -> AsyncIterator[str]:
        """All that are open, oldest first."""
        after: RedrivePlace | None = None
        while places := await self._ledger.open_redrives(AT_ONCE, after):
            for _, redrive_id in places:
                yield redrive_id
            if len(places) < AT_ONCE:
                return
            after = places[-1]

    def _pause(self, before: Redrive | None, after: Redrive) -> float | None:
        """No pause where many more may be taken at once, or where a step only looked on; None where
        few have ended since the step before, so that this is asked less often."""
        going = after.state is RedriveState.RUNNING and not after.canary and not after.interval
        room = going and after.left and after.under_way <= MOST_UNDER_WAY - ROOM
        if room or after.counting is not None:
            return 0.0
        if not after.open or before is None:
            return SOON
        if before.redriven == after.redriven and before.under_way == after.under_way:
            return 0.0
        taken = after.redriven - before.redriven
        share = (before.under_way + taken - after.under_way) / (before.under_way or 1)
        if share >= FEW:
            self._between = _adjusted(self._between, share)
            return self._between
        return self._between if taken > FEW * after.under_way else None

    async def purge(self) -> None:
        """Remove what is old, where that was not done of late.  Raises LedgerUnavailable."""
        if self._monotonic() < self._purge_at:
            return
        while await self._ledger.purge_redrives(self._clock() - KEPT, AT_ONCE) == AT_ONCE:
            pass
        self._purge_at = self._monotonic() + PURGE_EVERY


def _adjusted(pause: float, share: float) -> float:
    """A pause nearer to the one in which as many of those under way end as are to."""
    times = min(2.0, max(0.5, ENOUGH / share))
    return min(SOON, max(LEAST, times * pause))


def _tell(before: Redrive | None, after: Redrive) -> None:
    """Tell the log of a redrive that has stopped or is done, once in each process."""
    if before is None or before.state not in GOING or after.state in GOING:
        return
    sums = {
        "redrive": after.id, "redriven": after.redriven, "succeeded": after.succeeded,
        "diedAgain": after.died_again, "left": after.left, "why": after.why,
    }  # fmt: skip
    if after.state is RedriveState.STOPPED:
        log.warning("redrive.stopped", extra=sums)
    else:
        log.info("redrive.done", extra=sums)
