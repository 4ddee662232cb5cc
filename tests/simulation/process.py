"""A simulated process: an event loop of its own in the world, with clocks of its own.

It can be held up, and it can die between any two of its steps; what it would have done then, it
never does.
"""

from __future__ import annotations

import asyncio
from asyncio import _set_running_loop
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, cast

from tests.simulation.world import Callback, Step, World
from unlost.task import SECOND, Micros

LATE = 1e-9
"""Seconds that timers fire late, so that rounding never lets one fire early."""

ROUNDS = 50
"""Cancellations that a task may swallow when all is over."""


class ActorFailed(Exception):
    """Something was raised that should not have been.  The message says by whom."""


class Skew:
    """How a process's clocks differ from the true time: `ahead` seconds, `rate` times as fast."""

    __slots__ = ("ahead", "rate")

    def __init__(self, ahead: float = 0.0, rate: float = 1.0) -> None:
        self.ahead = ahead
        self.rate = rate


class Process:
    """A process; `ended` is called once when it dies or exits.

    Of an event loop it has what the parts under test need; a wait that is not simulated has no
    method here, and so is an error.
    """

    def __init__(
        self, world: World, name: str, skew: Skew, ended: Callable[[Process], None]
    ) -> None:
        self.name = name
        self.alive = True
        self.paused = self.blocked = False
        self.parked: list[Step] = []
        self.last: list[Step] = []  # steps that only tidy up after the end
        self.crashed = False
        self._world = world
        self.skew = skew
        self._ended = ended
        self._tasks: list[asyncio.Task[Any]] = []

    # Clocks

    def time(self) -> float:
        return self._world.now * self.skew.rate

    def clock(self) -> Micros:
        """The time of day as this process believes it."""
        ahead = self.skew.ahead + self._world.now * (self.skew.rate - 1.0)
        return self._world.clock() + round(ahead * SECOND)

    # What happens to it

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run `main`; its end is the end of the process."""
        self.create_task(main).add_done_callback(self._finish)

    def _finish(self, main: asyncio.Task[None]) -> None:
        if not self.alive:
            return
        fault = None if main.cancelled() else main.exception()
        if fault is not None:
            raise ActorFailed(f"{self.name}: {type(fault).__name__}: {fault}") from fault
        self.exit()

    def exit(self) -> None:
        """End; nothing more of it runs."""
        if self.alive:
            self.alive = False
            self._ended(self)

    def crash(self) -> None:
        """Die, between two steps."""
        if self.alive:
            self.crashed = True
            self.exit()

    def pause(self, seconds: float) -> None:
        """Be held up; time goes on meanwhile."""
        self.paused = True
        self._world.after(seconds, self._resume)

    def block(self) -> None:
        """Be held up for good by a handler that never gives back control."""
        self.paused = self.blocked = True

    def _resume(self) -> None:
        if self.blocked:
            return
        self.paused = False
        self._world.ready += self.parked
        self.parked.clear()

    def dispose(self) -> list[str]:
        """End what was left in the middle, after all is over; none of that reaches anybody.

        What was raised, and nobody looked.
        """
        faults = [] if self.crashed else list(filter(None, map(self._fault, self._tasks)))
        self.alive = False
        left = (*self.parked, *(step for step in self._world.ready if step.home is self))
        self.last += [step for step in left if step.is_of_asyncio]
        _set_running_loop(cast(Any, self))
        for _ in range(ROUNDS):
            unfinished = [task for task in self._tasks if not task.done()]
            for task in unfinished:
                task.cancel()
            while self.last:
                self.last.pop(0).run()
            if not unfinished:
                break
        self._tasks.clear()
        _set_running_loop(None)
        return faults

    def _fault(self, task: asyncio.Task[Any]) -> str | None:
        if not task.done() or task.cancelled() or not getattr(task, "_log_traceback", False):
            return None
        return f"{self.name}: {task.exception()!r}"

    # What asyncio asks of an event loop

    def call_soon(self, callback: Callback, *args: Any, context: Context | None = None) -> Any:
        step = Step(self, callback, args, context)
        (self._world.ready if self.alive else self.last).append(step)
        return step

    call_soon_threadsafe = call_soon  # there are no threads

    def call_later(
        self, delay: float, callback: Callback, *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callback, *args: Any, context: Context | None = None
    ) -> Any:
        step = Step(self, callback, args, context, when)
        self._world.at(max(self._world.now, when / self.skew.rate + LATE), step)
        return step

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=cast(Any, self))

    def create_task(self, coro: Any, **options: Any) -> Any:
        task = asyncio.Task(coro, loop=cast(Any, self), **options)
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise ActorFailed(f"{self.name}: {context}")
