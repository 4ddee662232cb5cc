"""What a supervisor does for its worker processes: heartbeats, the watch, and their last will."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.unavailable import log_unavailable
from unlost.ledger.values import Held, Worker
from unlost.limits.control import Claimant
from unlost.settings import Settings
from unlost.supervisor.processes.process import Child
from unlost.supervisor.processes.starting import SLOW
from unlost.supervisor.workers.watching import IDLE_SILENCE, Watching
from unlost.task import SECOND
from unlost.telemetry.logs import Log
from unlost.telemetry.measuring import Recorder
from unlost.tracing import OFF, Tracing
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.ending import LAST_PATIENCE
from unlost.worker.executing import LOOK_FOR_DROPPED
from unlost.worker.settling.reaping import Reaping

BEAT = 2.0
"""Seconds between heartbeats; a quarter of the lease where that is shorter."""

BEAT_AGAIN = 0.5
"""Seconds after one that the ledger did not take."""

OVERDUE = 2 * SECOND
"""How far past its deadline an attempt must be before a silent child is killed for it."""

TO_FIND_OUT = LOOK_FOR_DROPPED + LAST_PATIENCE + 0.5
"""Seconds for a worker whose lease is over to see it and to end by itself."""

log = Log("unlost.supervisor")


class Workers(Watching):
    """The living worker processes of one supervisor.

    What they leave, and is settled for them, is counted by `recorder` and told to `tracing`.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        random: Random,
        recorder: Recorder | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        super().__init__(settings, random)
        self._ledger = ledger
        draw = attempt.draws(settings.seed, random)
        self._reaping = Reaping(ledger, settings, draw, recorder or Recorder(), tracing, log)
        self._disowned: set[str] = set()

    async def until_lone_due(self, types: tuple[str, ...] | None) -> float | None:
        claimant = Claimant.LOCAL if self._settings.handler else Claimant.STAND_IN
        wait = await self._ledger.due_in(types, alone=True, claimant=claimant)
        return None if wait is None else wait / SECOND

    async def beat(self) -> None:
        lease = round(self._settings.lease * SECOND)
        usual = min(BEAT, self._settings.lease / 4)
        pause = usual
        while True:
            await asyncio.sleep(pause)
            beating = self._ready()
            try:
                enlisted = await self._ledger.extend(beating.keys(), lease)
            except LedgerUnavailable as error:
                log_unavailable(log, error)
                pause = min(BEAT_AGAIN, usual)
                continue
            pause = usual
            for name in sorted(beating.keys() & self._living.keys() - enlisted):
                self._disown(name)

    async def show_starting(self) -> None:
        """Have the ledger know of workers whose start takes long, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(BEAT, self._settings.lease / 4))
            for child in list(self._living.values()):
                if child.ready is None and loop.time() - child.born >= SLOW:
                    await self._show_starting(child)

    async def _show_starting(self, child: Child) -> None:
        try:
            worker = Worker(child.id, (), child.alone)
            await self._ledger.enlist(worker, round(self._settings.lease * SECOND))
            if child.id not in self._living:  # it was buried meanwhile
                await self._ledger.dismiss(child.id)
        except LedgerUnavailable as error:
            log_unavailable(log, error)

    def _disown(self, name: str) -> None:
        """Its attempts were reaped: it must not go on with them.  It finds that out by itself,
        and tells its handlers; one that does not is killed."""
        if name not in self._disowned:
            log.warning("worker.disowned", extra={"worker": name})
            self._disowned.add(name)
            asyncio.get_running_loop().call_later(TO_FIND_OUT, self._living[name].kill)

    async def _overdue(self, child: Child, silent: float) -> bool:
        try:
            held = await self._ledger.held(child.id)
        except LedgerUnavailable:
            return False
        if not held:
            return silent > IDLE_SILENCE
        return any(one.left + OVERDUE < 0 for one in held)

    async def bury(self, child: Child, *, meant: bool, give_up: Callable[[], bool]) -> None:
        """Settle what a worker that has ended still held, and strike it off.

        Where there is no time, the sweep of others does it, as it does later where the ledger's
        file is gone.
        """
        self._living.pop(child.id, None)
        self._disowned.discard(child.id)
        await self._until_done(lambda: self._settle(child.id, meant=meant), give_up)

    async def _settle(self, worker: str, *, meant: bool) -> None:
        left = await self._ledger.held(worker)
        await self._reaping.settle(left, lambda one: last_will(one, meant=meant))
        await self._ledger.dismiss(worker)


def last_will(held: Held, *, meant: bool) -> Ended:
    """How an attempt has ended whose process has, with nobody left to say more."""
    if held.left <= 0:
        return attempt.timed_out(held.timeout)
    return attempt.RELEASED if meant else attempt.LOST


def was_meant(child: Child, *, stopping: bool) -> bool:
    """Whether a child was to end as it did, so that what it still ran costs nothing.

    One that ended in order was, also if that was because of a stuck attempt; so was one that was
    killed at the end of the grace period.  One that was killed because it hung was not: any of its
    attempts may have caused that.
    """
    return child.leaving or (stopping and child.put_down)
