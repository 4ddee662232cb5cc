"""The attempts that run in a worker: their handlers' start, time limits, and end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from functools import partial

from unlost.asked.submission import OWN, Rules
from unlost.handlers import Function, Handlers, Task
from unlost.ledger.values import Claimed
from unlost.telemetry import logs
from unlost.telemetry.logs import Log
from unlost.tracing import OFF, Tracing
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.effects.steps import RECORD_PATIENCE, AttemptSteps, Steps
from unlost.worker.effects.transactions import Transactions
from unlost.worker.running.threads import Threads

ASYNC_PATIENCE = 5.0
"""Seconds that an async handler has to end after it was cancelled."""

SYNC_PATIENCE = 1.0
"""Seconds that a sync handler has to return after its timeout."""

DROPPED_PATIENCE = 5.0
"""Seconds that a sync handler has to return after its task was cancelled."""

AFTER_RECORD = 0.5
"""Seconds that a handler has to end once its record was given up."""

BETWEEN_LOOKS = 0.005
"""Seconds, at least, between two looks at what should have ended."""

log = Log("unlost.worker")


class Told(Enum):
    """Why a running attempt was told to end."""

    TIMED_OUT = auto()
    DROPPED = auto()
    RELEASED = auto()


class Running:
    """An attempt whose handler runs, since `began`.  `due` is when (by the loop's time) it should
    have ended, `last` when it must, once it was told to and records a step."""

    __slots__ = ("began", "claimed", "due", "job", "last", "stuck", "task", "told")

    def __init__(self, claimed: Claimed, began: float, due: float, task: Task) -> None:
        self.claimed = claimed
        self.began = began
        self.due = due
        self.last = 0.0
        self.task = task
        self.job: asyncio.Task[None] | None = None  # None: a sync handler in a thread
        self.told: Told | None = None
        self.stuck = False

    @property
    def steps(self) -> AttemptSteps | None:
        """What makes its steps, once it has made any."""
        steps = self.task._steps
        return steps if isinstance(steps, AttemptSteps) else None

    @property
    def recording(self) -> bool:
        """Whether a record of a step is on its way."""
        steps = self.steps
        return steps is not None and steps.recording


class Runner:
    """Runs handlers.

    Each attempt that ends is given to `ended`, with None if nobody waits for it, and the seconds
    that its handler ran, by `timer` (the loop's own time may stand still while a handler computes).
    `rules` hold for what handlers submit.

    A handler that does not end although it was told to is *stuck*: `stuck` is called, and only
    the end of the process ends it.  `transactions` are those that handlers can ask for, if any.
    """

    def __init__(  # noqa: PLR0913  what handlers are run with
        self,
        handlers: Handlers,
        threads: Threads,
        ended: Callable[[Claimed, Ended | None, float], None],
        stuck: Callable[[], None],
        timer: Callable[[], float] = time.perf_counter,
        tracing: Tracing = OFF,
        transactions: Transactions | None = None,
        steps: Steps | None = None,
        *,
        rules: Rules = OWN,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._handlers = handlers
        self._threads = threads
        self._ended = ended
        self._stuck = stuck
        self._clock = timer
        self._tracing = tracing
        self._transactions = transactions
        self._steps = steps
        self._rules = rules
        self._running: dict[str, Running] = {}  # by token
        self._next_look = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._running)

    @property
    def lively(self) -> bool:
        """Whether an attempt runs that is not stuck."""
        return any(not running.stuck for running in self._running.values())

    @property
    def recording(self) -> bool:
        """Whether a record of a step is on its way, of an attempt that is not stuck."""
        return any(one.recording and not one.stuck for one in self._running.values())

    def tokens(self) -> Mapping[str, str]:
        """The running attempts' tokens, each with its task's id."""
        return {token: running.claimed.task_id for token, running in self._running.items()}

    def runs(self, token: str) -> bool:
        """Whether this attempt runs, and was not told to end."""
        running = self._running.get(token)
        return running is not None and running.told is None

    def makes_step(self, token: str) -> bool:
        """Whether a step of this attempt is under way."""
        running = self._running.get(token)
        steps = None if running is None else running.steps
        return steps is not None and steps.making

    def start(self, claimed: Claimed) -> None:
        """Start the handler of an attempt."""
        handler = self._handlers.find(claimed.type)
        steps = None
        if self._steps is not None:
            steps = partial(AttemptSteps, self._steps, claimed, handler.is_async)
        task = attempt.started(claimed, steps, self._rules)
        if self._transactions is not None:
            threaded = not handler.is_async
            task._begin = self._transactions.beginner(claimed.token, threaded=threaded)
        due = self._loop.time() + claimed.timeout
        running = Running(claimed, self._clock(), due, task)
        self._running[claimed.token] = running
        if handler.is_async:
            running.job = self._loop.create_task(self._run(running, handler.function))
        else:
            self._threads.submit(lambda: self._call(running, handler.function))
        if running.due < self._next_look:
            self._look_at(running.due)

    async def _run(self, running: Running, function: Function) -> None:
        logs.current_task.set(running.claimed.task_id)
        if self._tracing is OFF:  # even what does nothing around each attempt costs something
            ended = await attempt.run(function, running.task)
        else:
            with self._tracing.attempt(running.claimed):
                ended = await attempt.run(function, running.task)
        self._finish(running, ended)

    def _call(self, running: Running, function: Function) -> None:
        before = logs.current_task.set(running.claimed.task_id)
        with self._tracing.attempt(running.claimed):
            ended = attempt.call(function, running.task)
        logs.current_task.reset(before)
        with contextlib.suppress(RuntimeError):  # the worker has ended; others settle what it left
            self._loop.call_soon_threadsafe(self._finish, running, ended)

    def _finish(self, running: Running, ended: Ended) -> None:
        del self._running[running.claimed.token]
        if running.task._steps is not None:
            running.task._steps.close()
        end: Ended | None = ended
        if running.told is not None:
            end = _after_telling(running.told, running.claimed)
        self._ended(running.claimed, end, self._clock() - running.began)

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next_look = due
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        """Tell what should have ended by now; one timer serves all attempts."""
        now = self._loop.time()
        for running in list(self._running.values()):
            if running.due > now or running.stuck:
                continue
            if running.told is None:
                self._tell(running, Told.TIMED_OUT)
            elif running.recording and running.due < running.last:
                running.due = running.last
            else:
                self._give_up(running)
        dues = [running.due for running in self._running.values() if not running.stuck]
        self._next_look = float("inf")
        if dues:
            self._look_at(max(min(dues), now + BETWEEN_LOOKS))

    def _tell(self, running: Running, why: Told) -> None:
        running.told = why
        running.task._cancelled = True
        if self._transactions is not None:
            self._transactions.told(running.claimed.token)
        running.last = self._loop.time() + RECORD_PATIENCE + AFTER_RECORD
        if (steps := running.steps) is not None:
            steps.tell()
        if running.job is not None:
            running.job.cancel()
            patience = ASYNC_PATIENCE
        else:
            patience = SYNC_PATIENCE if why is Told.TIMED_OUT else DROPPED_PATIENCE
        running.due = self._loop.time() + patience
        self._look_at(min(running.due, self._next_look))

    def _give_up(self, running: Running) -> None:
        running.stuck = True
        told = {"taskId": running.claimed.task_id, "type": running.claimed.type}
        log.warning("attempt.stuck", extra=told)
        self._stuck()

    def drop(self, tokens: Iterable[str]) -> None:
        """End attempts that no longer run in the ledger; what they return is worth nothing."""
        for token in tokens:
            running = self._running.get(token)
            if running is not None and running.told is not Told.DROPPED:
                self._tell(running, Told.DROPPED)

    def release_all(self) -> None:
        """End all attempts, whatever they return then: they will run again, and cost nothing.

        A handler that sees that it was cancelled may return what is only half done.
        """
        for running in list(self._running.values()):
            if running.told is None:
                self._tell(running, Told.RELEASED)


def _after_telling(why: Told, claimed: Claimed) -> Ended | None:
    """How an attempt has ended that was told to, whatever its handler made of that."""
    if why is Told.DROPPED:
        return None
    if why is Told.TIMED_OUT:
        return attempt.timed_out(claimed.timeout)
    return attempt.RELEASED
