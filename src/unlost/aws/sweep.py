"""`sweep`: the function that each minute finds what no message has brought on.

What schedules are due for is submitted, attempts whose lease is over are settled as lost, overdue
tasks are hinted again, deaths that nobody has reported are announced again, redrives go on, and
what is old is purged where that is asked for.  Then it measures how things stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from time import monotonic
from typing import Any, Final, Protocol

from unlost.aws import environment, home, sandbox
from unlost.aws.logs import Logs
from unlost.aws.queues.queue import QueueUnavailable, SqsQueue
from unlost.aws.tracing import Function
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.dead_letters import reporting
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.task import SECOND, Micros, State
from unlost.telemetry.logs import Log
from unlost.upkeep.circuits import Circuits
from unlost.upkeep.redrives import Redriving
from unlost.upkeep.scheduler import Scheduler
from unlost.upkeep.sweeper import Sweeper

AT_ONCE: Final = 1_000
"""Tasks that are looked at in one step."""

RESERVE: Final = 10.0
"""Seconds of an invocation that are left for its end."""

FOREVER: Final = 2**62

log = Log("unlost.aws.sweep")


class SweptLedger(Ledger, Protocol):
    """A ledger that tells queues what is due and who died, and can tell them again."""

    async def hint_overdue(self, limit: int) -> int:
        """Look at up to `limit` tasks that nobody has brought on; how many were hinted again."""
        ...

    async def hint_paced(self) -> int:
        """Hint as many tasks as rates let start until after the next sweep; how many."""
        ...

    async def hint_deaths(self, limit: int) -> int:
        """Announce anew up to `limit` deaths that wait too long for their report; how many."""
        ...


class Sweep:
    """One pass after another.

    `sweeper` must take no pause of its process for the workers': Lambda freezes this process
    between its passes, and attempts here have leases of their own, which no heartbeat extends.
    """

    def __init__(
        self, ledger: SweptLedger, sweeper: Sweeper, scheduler: Scheduler, redriving: Redriving
    ) -> None:
        self._ledger = ledger
        self._sweeper = sweeper
        self._scheduler = scheduler
        self._redriving = redriving

    async def once(self, seconds: float) -> dict[str, int]:
        """Do all that is to be done, for so many seconds at most; how much was.

        A step that fails keeps no other from being done.  Raises what failed in the end.
        """
        done: dict[str, int] = {}
        steps: dict[str, Callable[[], Awaitable[int]]] = {
            "ticked": self._tick,
            "tasksPaced": self._ledger.hint_paced,
            "tasksHinted": lambda: self._all(self._ledger.hint_overdue),
            "deathsAnnounced": lambda: self._all(self._ledger.hint_deaths),
            "swept": self._sweep,
            "redrivesPurged": self._purge_redrives,
            "redrivesMoved": self._redrive,
        }
        failure: Exception | None = None
        for name, step in steps.items():
            try:
                async with asyncio.timeout(seconds / len(steps)):
                    done[name] = await step()
            except TimeoutError:
                log.warning("sweep.unfinished", extra={"step": name})
            except LedgerUnavailable as error:
                log.warning("ledger.unavailable", extra={"step": name, "why": str(error)})
                failure = error
            except Exception as error:  # one step's fault is no reason to leave out the others
                log.exception("sweep.failed", extra={"step": name})
                failure = error
        if failure is not None:
            raise failure
        return done

    async def _all(self, step: Callable[[int], Awaitable[int]]) -> int:
        total = 0
        while found := await step(AT_ONCE):
            total += found
        return total

    async def _tick(self) -> int:
        await self._scheduler.step()
        return 1

    async def _sweep(self) -> int:
        await self._sweeper.sweep()
        return 1

    async def _purge_redrives(self) -> int:
        await self._redriving.purge()
        return 1

    async def _redrive(self) -> int:
        """Let redrives go on whose messages were lost, and those that go by the clock."""
        moved = 0
        while (pause := await self._redriving.step()) is not None:
            moved += 1
            await asyncio.sleep(pause)
        return moved


class Gauges:
    """How things stand."""

    def __init__(
        self, ledger: Ledger, queue: SqsQueue, calls: Calls, clock: Callable[[], Micros]
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._calls = calls
        self._clock = clock
        self._circuits = Circuits(ledger)

    async def measure(self, logs: Logs) -> None:
        """Write all that can be learned.  Raises LedgerUnavailable."""
        counts = await self._ledger.counts()
        unreported = await reporting.free(self._calls, FOREVER)
        found = {
            "deadLetters": counts.states[State.DEAD],
            "outstanding": sum(
                counts.states[state] for state in (State.QUEUED, State.RUNNING, State.RETRYING)
            ),
            "unreportedDeaths": len(unreported),
        }
        try:
            depths = await self._queue.depths()
            found |= {"queueDepth": depths.work, "deadLetterQueueDepth": depths.dead_letters}
        except QueueUnavailable as error:
            log.warning("queue.unavailable", extra={"why": str(error)})
        due = counts.oldest_due
        overdue = 0.0 if due is None else max(0, self._clock() - due) / SECOND
        late = (await self._ledger.due_schedules(0)).late
        logs.measure(found, {"oldestOverdueSeconds": overdue, "scheduleLateSeconds": late})
        for name in counts.unhandled:
            log.warning("task.unhandled", extra={"type": name})
        await self._circuits.look()


def make() -> Function:
    """The function, once in a sandbox."""
    box = sandbox.opened((environment.QUEUE, environment.DEAD_LETTERS))
    ledger, queue, calls = home.opened(box)
    sweeper = Sweeper(
        ledger, box.environment.settings, clock=wall_clock, monotonic=None, random=Random()
    )
    redriving = Redriving(ledger, clock=wall_clock, monotonic=monotonic)
    sweep = Sweep(ledger, sweeper, Scheduler(ledger, Random()), redriving)
    gauges = Gauges(ledger, queue, calls, wall_clock)

    async def work(seconds: float) -> dict[str, int]:
        try:
            return await sweep.once(seconds)
        finally:
            await gauges.measure(box.logs)

    def function(event: Any, context: Any) -> Any:
        box.invoked(context)
        return box.run(work(sandbox.left(context)() - RESERVE))

    return box.traced(function)


handler = sandbox.entry(make)
