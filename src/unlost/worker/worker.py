"""The worker: claims due tasks, has their handlers run, settles the attempts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import IntEnum
from random import Random

from unlost.handlers import Handlers
from unlost.ledger import values
from unlost.ledger.protocol import LeaseOver, Ledger, LedgerUnavailable
from unlost.ledger.values import Claim, Claimed, Held
from unlost.measuring import Recorder
from unlost.settings import Settings
from unlost.task import SECOND
from unlost.tracing import OFF, Tracing
from unlost.webhooks.notices import Notices
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.running import Runner
from unlost.worker.settling import AGAIN, Settler, Unsettled
from unlost.worker.threads import Threads

LOOK_FOR_DROPPED = 2.0
"""Seconds between looks for attempts that were cancelled or reaped."""

NEIGHBOURS_PATIENCE = 30.0
"""Seconds that other attempts have to end in a process with a stuck one."""

LAST_PATIENCE = 0.5
"""Seconds that handlers have to end once they were told that the worker stops."""

LONGEST_SLEEP = 1.0
"""Seconds after which a worker looks for due tasks without any hint."""

log = logging.getLogger("unlost.worker")


class Ending(IntEnum):
    """Why a worker stopped; where several hold, the highest."""

    NOTHING_DUE = 1
    """It runs alone, and no such task is due."""

    STUCK = 2
    """A handler does not end; only the end of the process ends it."""

    DRAINED = 3
    """It was told to."""

    LEASE_OVER = 4
    """Its attempts may be reaped; another incarnation has to go on."""


class Worker:
    """Runs attempts, at most `settings.concurrency` at once, in the event loop that made it.

    Somebody else extends its lease.  Timeouts run by the loop's time.
    A worker that runs `alone` takes only tasks whose last attempt was lost, one at a time, and
    stops when none is due.  What it does is counted by `recorder` and told to `tracing`.
    """

    def __init__(
        self,
        ledger: Ledger,
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
        self._settler = Settler(ledger, random, self._recorder, tracing)
        self._runner = Runner(
            handlers,
            self._threads,
            self._ended,
            lambda: self._end(Ending.STUCK),
            self._recorder.timer,
            tracing,
        )
        self._hint = asyncio.Event()  # a task may be due
        self._freed = asyncio.Event()  # an attempt has ended
        self._ending: Ending | None = None
        self._tell_stuck: Callable[[], None] = lambda: None
        self._in_doubt = False  # whether the last claim's answer was lost

    @property
    def busy(self) -> bool:
        """Whether a handler runs."""
        return len(self._runner) > 0

    def drain(self) -> None:
        """Claim no more; running attempts get the grace period, then they are released."""
        self._end(Ending.DRAINED)

    def _end(self, ending: Ending) -> None:
        if ending is Ending.STUCK and self._ending is None:
            self._tell_stuck()
        self._ending = ending if self._ending is None else max(self._ending, ending)
        self._hint.set()
        self._freed.set()

    async def run(
        self, ready: Callable[[], None] = lambda: None, stuck: Callable[[], None] = lambda: None
    ) -> Ending:
        """Work until drained, stuck or without a lease.

        `ready` is called before the first claim, `stuck` as soon as a handler turns out not to
        end: there will be no further claims.

        Every attempt that ended is settled when this returns.  Those that did not end still run
        in the ledger: whoever sees this process end settles them.
        """
        self._tell_stuck = stuck
        await self._enlist()
        ready()
        async with asyncio.TaskGroup() as group:
            steps = (self._settler.run(), self._listen(), self._look_for_dropped())
            background = [group.create_task(step) for step in steps]
            ending = await self._claim_until_told()
            await self._let_finish()
            await self._settler.all_settled()
            for step in background:
                step.cancel()
        self._threads.stop()
        return max(ending, self._ending or ending)

    async def _enlist(self) -> None:
        types = None if self._types is None else tuple(self._types)
        myself = values.Worker(self.id, types, self._alone)
        tries = 0
        while True:
            try:
                await self._ledger.enlist(myself, round(self._settings.lease * SECOND))
                return
            except LedgerUnavailable as error:
                tries += 1
                await self._leave_alone(tries, error)

    async def _leave_alone(self, tries: int, error: LedgerUnavailable) -> None:
        if tries == 1:
            log.warning("ledger.unavailable", extra={"why": str(error)})
        await asyncio.sleep(AGAIN.wait(tries, self._random.random()))

    # Claiming

    async def _claim_until_told(self) -> Ending:
        tries = empty = 0  # in a row
        while self._ending is None:
            try:
                found = await self._claim_once(empty)
                tries, empty = 0, 0 if found else empty + 1
            except LedgerUnavailable as error:
                tries += 1
                await self._leave_alone(tries, error)
            except LeaseOver:
                self._end(Ending.LEASE_OVER)
        return self._ending

    async def _claim_once(self, empty: int) -> bool:
        """Claim for the free slots, and sleep if that found too little; whether it found any.

        `empty` claims before this one found nothing.
        """
        self._hint.clear()
        self._freed.clear()
        free = self._slots - len(self._runner)
        if not free:
            await self._freed.wait()
            return True
        claimed = await self._claim(free)
        for one in claimed:
            self._recorder.started(one)
            self._runner.start(one)
        if len(claimed) < free:
            await self._sleep_until_due(0 if claimed else empty + 1)
        return bool(claimed)

    async def _claim(self, count: int) -> list[Claimed]:
        if self._in_doubt:
            await self._release_unknown()
        tokens = [f"{self._random.getrandbits(96):024x}" for _ in range(count)]
        claim = Claim(self.id, tokens, self._types, self._settings.limits, self._alone)
        self._in_doubt = True
        claimed = await self._ledger.claim(claim)
        self._in_doubt = False
        return claimed

    async def _release_unknown(self) -> None:
        """Release what a claim took whose answer was lost: its handlers never started."""
        known = self._runner.tokens().keys() | self._settler.tokens
        for held in await self._ledger.held(self.id):
            if held.token not in known:
                self._settle(held, attempt.RELEASED)

    async def _sleep_until_due(self, empty: int) -> None:
        """Sleep until a task may be due.

        After `empty` claims in a row that found nothing although something was said to be due
        (another worker took it, or it is not ours to take), a little longer each time.
        """
        if self._alone and not len(self._runner):
            return self._end(Ending.NOTHING_DUE)
        wait = await self._ledger.due_in(self._types, alone=self._alone)
        if wait is None:
            await self._hint.wait()
            return None
        shortest = min(LONGEST_SLEEP, 0.0005 * 2 ** min(empty, 11)) if empty else 0.0
        seconds = max(wait / SECOND, shortest)
        timer = asyncio.get_running_loop().call_later(seconds, self._hint.set)
        await self._hint.wait()
        timer.cancel()
        return None

    async def _listen(self) -> None:
        """Wake the claims at every hint, and each second without one."""
        while True:
            try:
                await self._ledger.wait(LONGEST_SLEEP)
            except LedgerUnavailable:
                await asyncio.sleep(LONGEST_SLEEP)
            self._hint.set()

    # Running and settling

    def _ended(self, claimed: Claimed, ended: Ended | None, seconds: float) -> None:
        if ended is None:
            self._tracing.dropped(claimed.token)
        else:
            self._settle(claimed, ended, seconds)
        self._freed.set()

    def _settle(self, known: Claimed | Held, ended: Ended, seconds: float | None = None) -> None:
        done = attempt.settlement(known, ended, self._backoff, self._draw)
        if isinstance(known, Claimed):
            done = self._notices.after(done, known)
        self._tracing.ended(done)
        self._settler.add(Unsettled(done, known.type, seconds))

    async def _look_for_dropped(self) -> None:
        while True:
            await asyncio.sleep(LOOK_FOR_DROPPED)
            if not len(self._runner):
                continue
            try:
                self._runner.drop(await self._ledger.dropped(self._runner.tokens()))
            except LedgerUnavailable:
                continue  # it is asked again soon

    async def _let_finish(self) -> None:
        """Let handlers end as long as there is time, then tell them to."""
        began = asyncio.get_running_loop().time()
        await self._wait_for_handlers(lambda: began + self._patience())
        if self._ending is Ending.LEASE_OVER:
            self._runner.drop(self._runner.tokens())
        else:
            self._runner.release_all()
        last = asyncio.get_running_loop().time() + LAST_PATIENCE
        await self._wait_for_handlers(lambda: last)

    def _patience(self) -> float:
        if self._ending is Ending.LEASE_OVER:
            return 0.0
        if self._ending is Ending.STUCK:
            return NEIGHBOURS_PATIENCE
        return patience(self._settings.grace)

    async def _wait_for_handlers(self, until: Callable[[], float]) -> None:
        loop = asyncio.get_running_loop()
        while self._runner.lively and loop.time() < until():
            self._freed.clear()
            timer = loop.call_at(until(), self._freed.set)
            await self._freed.wait()
            timer.cancel()


def patience(grace: float) -> float:
    """Seconds of the grace period that handlers get; the rest is for ending in order."""
    return grace - min(1.5, grace / 2)
