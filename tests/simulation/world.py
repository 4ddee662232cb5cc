"""The world: one true time, and one scheduler that chooses by seed which step comes next.

Nothing here waits.  While something is ready it runs, in an order drawn from the seed; then time
jumps to the next timer.  Where neither is left, everybody waits for what will never come: an
error, not a freeze.
"""

from __future__ import annotations

from asyncio import _set_running_loop
from collections.abc import Callable
from contextvars import Context
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol, cast

from unlost.task import SECOND, Micros

EPOCH: Micros = 1_700_000_000 * SECOND

AT_ONE_INSTANT = 20_000
"""Steps without any time passing, beyond which somebody spins."""

Callback = Callable[..., object]


class NothingLeft(Exception):
    """Everybody waits and no timer is set: in reality this would hang."""


class Spinning(Exception):
    """Steps go on and on, and no time passes."""


class Home(Protocol):
    """Whose step it is: a process, which may be dead or held up."""

    alive: bool
    paused: bool
    parked: list[Step]
    last: list[Step]


class Step:
    """Something to do, once; what event loops call a handle."""

    __slots__ = ("_args", "_callback", "_context", "_when", "home", "is_cancelled")

    def __init__(
        self,
        home: Home | None,
        callback: Callback,
        args: tuple[Any, ...],
        context: Context | None = None,
        when: float = 0.0,
    ) -> None:
        self.home = home
        self._callback = callback
        self._args = args
        self._context = context
        self._when = when
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True
        self._callback, self._args = _nothing, ()

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self._when

    @property
    def is_of_asyncio(self) -> bool:
        """Whether it takes a task on, and so may be needed to end one."""
        return self._context is not None

    def run(self) -> None:
        if self._context is None:
            self._callback(*self._args)
        else:
            self._context.run(self._callback, *self._args)


def _nothing() -> None:
    pass


class World:
    """`now` is the true time in seconds from the start; `over` ends `run`.

    `draw` gives numbers in [0, 1) that decide the order of steps.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self.now = 0.0
        self.over = False
        self.ready: list[Step] = []
        self._timers: list[tuple[float, int, Step]] = []
        self._serial = count()
        self._draw = draw
        self._at_this_instant = 0
        self._running: Home | None = None

    def clock(self) -> Micros:
        """The true time, which is the ledger's."""
        return EPOCH + round(self.now * SECOND)

    def at(self, when: float, step: Step) -> None:
        """Have a step done at a time, or now if that is past."""
        heappush(self._timers, (when, next(self._serial), step))

    def after(self, seconds: float, callback: Callback, *args: Any) -> None:
        """Have the world itself do something, whoever is dead by then."""
        self.at(self.now + seconds, Step(None, callback, args))

    def run(self, until: float) -> bool:
        """Run until `over` is set; whether that was before the time `until`.

        Raises NothingLeft and Spinning, and what the world's own steps raise.
        """
        ready, draw = self.ready, self._draw
        try:
            while not self.over:
                if not ready and not self._advance(until):
                    return False
                last = ready.pop()
                if ready:
                    place = int(draw() * (len(ready) + 1))
                    if place < len(ready):
                        ready[place], last = last, ready[place]
                self._do(last)
        finally:
            _set_running_loop(None)
        return True

    def _do(self, step: Step) -> None:
        home = step.home
        if step.is_cancelled:
            return
        if home is not None:
            if not home.alive:
                if step.is_of_asyncio:
                    home.last.append(step)
                return
            if home.paused:
                home.parked.append(step)
                return
            if home is not self._running:  # the world's own steps do not ask
                _set_running_loop(cast(Any, home))
                self._running = home
        step.run()
        self._at_this_instant += 1
        if self._at_this_instant > AT_ONE_INSTANT:
            raise Spinning

    def _advance(self, until: float) -> bool:
        """Let time pass until something is ready; False if that is after `until`."""
        timers = self._timers
        while timers and timers[0][2].is_cancelled:
            heappop(timers)
        if not timers:
            raise NothingLeft
        when = timers[0][0]
        if when > self.now:
            self.now, self._at_this_instant = when, 0
        while timers and timers[0][0] <= self.now:
            self.ready.append(heappop(timers)[2])
        return self.now <= until
