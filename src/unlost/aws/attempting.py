"""One attempt in an invocation: claimed by the task's id, run, settled."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum, auto
from random import Random
from typing import Final, Protocol

from msgspec.structs import replace

from unlost.asked.submission import Rules
from unlost.aws.queues import again
from unlost.handlers import Handlers
from unlost.ledger.dynamodb.attempts.claiming_by_id import NotClaimed
from unlost.ledger.dynamodb.hints.telling import Announce, Hint, NotTold
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Claimed, Settlement
from unlost.limits.control import Claimant
from unlost.policy import Limits
from unlost.settings import Settings
from unlost.task import SECOND, Micros, Record
from unlost.telemetry.logs import Log
from unlost.tracing import OFF
from unlost.webhooks.notices import Notices
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.effects.follow_ups import brought, settle
from unlost.worker.effects.steps import Steps
from unlost.worker.running.runner import ASYNC_PATIENCE, Runner
from unlost.worker.running.threads import Threads
from unlost.worker.settling.stopping import Stopping
from unlost.worker.unavailable import AGAIN

Seconds = Callable[[], float]
"""How much of the invocation's time is left."""

TO_SETTLE: Final = 5.0
"""Seconds of an invocation that are kept for settling, whatever the handler does."""

TO_END: Final = ASYNC_PATIENCE + TO_SETTLE
"""Seconds that must be left beyond an attempt's timeout when it is claimed."""

STOP_PATIENCE: Final = 0.2
"""Seconds that a handler has to end by itself once the process was told to stop: Lambda ends it
after half a second, and what became of it has to be settled by then."""

LEASE_MARGIN: Final = 10.0
"""Seconds that a lease outlives the invocation: clocks differ."""

LOOK_FOR_DROPPED: Final = 5.0
"""Seconds between looks whether the attempt was cancelled."""

STUCK_WAIT: Final = 10.0
"""Seconds, at least, before the attempt after one whose handler does not end: by then the process
has, which takes STUCK_SETTLE at most."""

STUCK_SETTLE: Final = 3.0

CLAIM_TRIES: Final = 3
"""How often a claim is made that is not answered; each outlasts an outage by itself."""

TO_DECLARE: Final = 2.0
"""Seconds, at most, that an end waits for the effects that its handler declared: once it is settled
the process may be held still."""

LAST_CALL: Final = 1.0
"""Seconds that a call of the ledger may take: with fewer left, none is begun."""

log = Log("unlost.aws.process")

_WARNED: Final = {
    "unknown": "task.unknown",
    "unhandled": "task.unhandled",
    "too_long": "task.too_long",
}
"""The log's events of tasks that no function takes."""


class Fate(Enum):
    """What becomes of the message that led to a task."""

    DONE = auto()
    """It has served."""

    NO_TIME = auto()
    """The invocation has not the time for it: back with it, nothing was claimed."""

    NO_LEDGER = auto()
    """The ledger did not answer: back with it."""

    NOT_OURS = auto()
    """The message leads to nothing: back with it, until the queue's own redrive policy acts."""


class Stuck(Exception):
    """A handler does not end although it was told to; only the end of the process ends it."""


class ByIdLedger(Ledger, Protocol):
    """A ledger whose tasks can be claimed by their ids, each under a lease of its own."""

    async def claim_task(
        self,
        task_id: str,
        *,
        token: str,
        worker: str,
        limits: Mapping[str, Limits] | None,
        defaults: Limits,
        lease: Micros,
        claimant: Claimant = Claimant.LOCAL,
    ) -> Claimed | NotClaimed:
        """Start an attempt of this task if it is due; safe to repeat with the same token."""
        ...


class Attempting:
    """Runs attempts of this process, one at a time, in the event loop that made it.

    `longest` is how many seconds an attempt may take here, whatever it may elsewhere.
    `outcomes` counts what was settled, and what of it was `excused`.
    """

    def __init__(
        self,
        ledger: ByIdLedger,
        announce: Announce,
        handlers: Handlers,
        settings: Settings,
        longest: float,
        *,
        clock: Callable[[], Micros],
        random: Random,
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self._ledger = ledger
        self._announce = announce
        self._clock = clock
        self._longest = longest
        self._random = random
        self._backoff = settings.backoff
        self._max_excused = settings.max_excused
        self._draw = attempt.draws(settings.seed, random)
        self._notices = Notices(settings)
        self._types = handlers.types
        self._claimant = Claimant.STAND_IN if handlers.stand_in else Claimant.LOCAL
        self._defaults = settings.limits
        self._worker = f"lambda-{random.getrandbits(96):024x}"
        self._steps = Steps(ledger, random)
        self._runner = Runner(
            handlers,
            Threads(1),
            self._ended,
            self._stuck,
            rules=Rules(longest, settings.callbacks, legible=True),
            steps=self._steps,
        )
        self._stops = Stopping(ledger, random, self._over)
        self._end: asyncio.Future[Ended | None] | None = None
        self._dropped = False
        self.stopping = False

    def limit(self, longest: float) -> None:
        """Let no attempt take longer than so many seconds."""
        self._longest = min(self._longest, longest)

    async def of(self, task_id: str, remaining: Seconds) -> Fate:
        """Run an attempt of this task if it is due and there is time.  Raises Stuck."""
        if self.stopping:
            return Fate.NO_TIME
        try:
            if not await self._fits(task_id, remaining()):
                return Fate.NO_TIME
            if not self._steps.secret:  # read once in a process
                self._steps.secret = await self._ledger.effect_secret()
            claimed = await self._claim(task_id, remaining)
        except LedgerUnavailable as error:
            log.warning("ledger.unavailable", extra={"taskId": task_id, "why": str(error)})
            return Fate.NO_LEDGER
        if isinstance(claimed, NotClaimed):
            await self._pass_over(task_id, claimed)
        else:
            await self._carry_out(claimed, remaining)
        return Fate.DONE

    async def _pass_over(self, task_id: str, why: NotClaimed) -> None:
        """The message has served, but where it came too early, or found no room: then another one
        has to follow."""
        if (event := _WARNED.get(why.reason)) is not None:
            log.warning(event, extra={"taskId": task_id})
        delay = again.delay(why, self._clock(), self._random.random())
        if delay is None:
            return
        try:
            await self._announce.due([Hint(task_id, delay, why.mark)])
        except NotTold as error:  # the sweep finds the task once it is due
            log.warning("hints.lost", extra={"due": 1, "why": str(error)})
        except Exception:
            log.warning("hints.lost", extra={"due": 1}, exc_info=True)

    async def _carry_out(self, claimed: Claimed, remaining: Seconds) -> None:
        claimed = replace(claimed, timeout=min(claimed.timeout, self._longest))
        if self.stopping or remaining() < claimed.timeout + TO_SETTLE:  # the claim has taken long
            ended: Ended | None = attempt.RELEASED
        else:
            ended = await self._run(claimed)
        if ended is not None:
            await self._settle(claimed, ended, remaining)

    # Claiming

    async def _fits(self, task_id: str, seconds: float) -> bool:
        """Whether there is time for an attempt of this task.  What any attempt may take needs no
        look at the task."""
        if seconds >= self._longest + TO_END:
            return True
        record = await self._ledger.get(task_id, ())
        return record is None or seconds >= self._timeout(record) + TO_END

    def _timeout(self, record: Record) -> float:
        """Seconds that an attempt of this task will be given, at most."""
        known = (self._types or {}).get(record.type, Limits()).filled(self._defaults).timeout
        return min(max(record.timeout or 0.0, known or 0.0), self._longest)

    async def _claim(self, task_id: str, remaining: Seconds) -> Claimed | NotClaimed:
        """Claim, again with the same token where the answer was lost: it may have been done.

        Raises LedgerUnavailable when it gives up; what it may have claimed, its lease ends.
        """
        token = f"{self._random.getrandbits(96):024x}"
        tries = 0
        while True:
            try:
                return await self._ledger.claim_task(
                    task_id,
                    token=token,
                    worker=self._worker,
                    limits=self._types,
                    defaults=self._defaults,
                    lease=round((remaining() + LEASE_MARGIN) * SECOND),
                    claimant=self._claimant,
                )
            except LedgerUnavailable:
                tries += 1
                if tries == CLAIM_TRIES or remaining() < TO_END:
                    raise
                await asyncio.sleep(AGAIN.wait(tries, self._random.random()))

    # Running

    async def _run(self, claimed: Claimed) -> Ended | None:
        """The attempt's end; None if nobody waits for it any more.  Raises Stuck."""
        self._dropped = False
        self._end = asyncio.get_running_loop().create_future()
        watching = asyncio.create_task(self._watch(claimed))
        try:
            self._runner.start(claimed)
            return await self._end
        except Stuck:
            await self._settle_stuck(claimed)
            raise
        finally:
            watching.cancel()

    def _ended(self, claimed: Claimed, ended: Ended | None, seconds: float) -> None:
        if ended is not None and self._stops.concerns(ended):
            self._stops.hold(claimed, ended, seconds)
        else:
            self._over(claimed, ended, seconds)

    def _over(self, claimed: Claimed, ended: Ended | None, seconds: float) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_result(ended)

    def _stuck(self) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_exception(Stuck())

    async def _watch(self, claimed: Claimed) -> None:
        while True:
            await asyncio.sleep(LOOK_FOR_DROPPED)
            try:
                dropped = await self._ledger.dropped({claimed.token: claimed.task_id})
            except LedgerUnavailable:
                continue  # it is asked again soon
            self._dropped = self._dropped or bool(dropped)
            self._runner.drop(dropped)

    def stop(self) -> None:
        """Claim no more.  What fails from now on is released as a worker does it; what still runs
        when the patience is over is told to end, and released whatever comes of it."""
        self.stopping = True
        self._stops.tell()
        asyncio.get_running_loop().call_later(STOP_PATIENCE, self._runner.release_all)

    # Settling

    async def _settle(self, claimed: Claimed, ended: Ended, remaining: Seconds) -> None:
        """Settle, again and again while there is time; then the lease runs out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(TO_DECLARE, max(0.0, remaining() - LAST_CALL))):
                await self._steps.declaring.all_recorded()
        settlement = self._ending(claimed, ended)
        tries = 0
        while True:
            try:
                [held] = await settle(self._ledger, [settlement])
            except LedgerUnavailable as error:
                tries += 1
                pause = AGAIN.wait(tries, self._random.random())
                told = {"taskId": claimed.task_id, "why": str(error)}
                if remaining() < pause + LAST_CALL:
                    log.error("attempt.unsettled", extra=told)  # noqa: TRY400  no traceback needed
                    return
                if tries == 1:
                    log.warning("ledger.unavailable", extra=told)
                await asyncio.sleep(pause)
            else:
                self._tell(settlement, held)
                return

    def _ending(self, claimed: Claimed, ended: Ended) -> Settlement:
        end = attempt.settlement(claimed, ended, self._backoff, self._draw, self._max_excused)
        return self._notices.after(brought(end, claimed, ended.submit, OFF), claimed)

    def _tell(self, settlement: Settlement, held: Settlement | None) -> None:
        told = {"taskId": settlement.task_id, "outcome": settlement.outcome}
        if held is not None:
            self.outcomes[held.outcome] += 1
            self.outcomes["excused"] += held.excused
        else:  # cancelled, or taken for lost
            log.info("attempt.refused", extra=told)

    async def _settle_stuck(self, claimed: Claimed) -> None:
        """Settle an attempt whose process is about to end; what cannot be now, its lease will."""
        if self._dropped or self.stopping:
            return
        timed_out = replace(attempt.timed_out(claimed.timeout), at_least=STUCK_WAIT)
        settlement = self._ending(claimed, timed_out)
        try:
            async with asyncio.timeout(STUCK_SETTLE):
                await self._steps.declaring.all_recorded()
                [held] = await settle(self._ledger, [settlement])
        except (LedgerUnavailable, TimeoutError) as error:
            log.error("attempt.unsettled", extra={"taskId": claimed.task_id, "why": str(error)})  # noqa: TRY400
        else:
            self._tell(settlement, held)
