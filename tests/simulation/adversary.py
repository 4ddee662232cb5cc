"""The way between a process and the ledger, with an adversary on it.

A call may be refused, applied without its caller hearing of it, applied long after its caller gave
up, or applied twice; it may take longer than a lease; and its caller may die or be held up at any
point of it.  One assumption of the protocol is kept: an unknown `claim` is over when its caller
hears so, since `held` must then tell what it took, and its tokens are used once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulation.history import UNKNOWN, History
from tests.simulation.process import Process
from tests.simulation.scenario import PER_CALL, Scenario
from tests.simulation.world import World
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import (
    AnotherCall,
    LeaseOver,
    LedgerUnavailable,
    Refused,
    Repeated,
    StepsStand,
    UnknownTask,
)

CLAIMS = frozenset({"claim", "pull"})
"""Calls whose tokens are used once."""

CHANGES = frozenset({"submit", "settle", "cancel", "redrive", "discard", "purge", *CLAIMS})
"""Calls after which the counters are looked at."""

SHORT = 0.003


class Suspended(Exception):
    """The ledger waited inside a step, which must be atomic."""


class Call:
    """A call under way."""

    __slots__ = ("args", "future", "name", "number", "options", "process")

    def __init__(
        self,
        number: int,
        process: Process,
        name: str,
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        self.number = number
        self.process = process
        self.name = name
        self.args = args
        self.options = options
        self.future = process.create_future()


class Adversary:
    """Carries calls to a ledger, until `stop` with all the faults that the scenario has."""

    def __init__(
        self, world: World, ledger: MemoryLedger, history: History, scenario: Scenario
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._history = history
        self._lease = scenario.settings.lease
        self._random = scenario.stream("calls").random
        self._calls = 0
        self._fates: list[tuple[float, Callable[[Call], None]]] = []
        total = 0.0
        for kind in PER_CALL:
            if rate := scenario.rate(kind):
                total += rate
                self._fates.append((total, getattr(self, f"_{kind}")))

    def stop(self) -> None:
        """Carry every call from now on; what is under way may still come late."""
        self._fates = []

    def send(
        self, process: Process, name: str, args: tuple[Any, ...], options: dict[str, Any]
    ) -> asyncio.Future[Any]:
        """Take a call from a process; the future is what it hears.

        Settlements, of which the most depends, are struck twice as often.
        """
        if not process.alive:
            raise asyncio.CancelledError  # it is only tidied away
        self._calls += 1
        call = Call(self._calls, process, name, args, options)
        if self._fates:
            chance = self._random() * (0.5 if name == "settle" else 1.0)
            for limit, fate in self._fates:
                if chance < limit:
                    fate(call)
                    return call.future
        self._world.after(self._travel(), self._arrive, call)
        return call.future

    def _travel(self) -> float:
        chance = self._random()
        return 0.0002 + SHORT * chance * chance

    def _long(self) -> float:
        """Seconds as long as an attempt, or as a lease and more."""
        longest = 2.2 * self._lease if self._random() < 0.5 else 1.0
        chance = self._random()
        return longest * chance * chance

    # What may become of a call

    def _arrive(self, call: Call) -> None:
        self._answer(call, self._apply(call))

    def _arrive_unheard(self, call: Call) -> None:
        self._apply(call)
        self._world.after(self._travel(), self._answer, call, LedgerUnavailable(UNKNOWN))

    def _refused(self, call: Call) -> None:
        self._world.after(self._travel(), self._answer, call, LedgerUnavailable(UNKNOWN))

    def _unknown(self, call: Call) -> None:
        self._world.after(self._travel(), self._arrive_unheard, call)

    def _late(self, call: Call) -> None:
        if call.name in CLAIMS:
            return self._unknown(call)
        self._refused(call)
        self._world.after(SHORT + self._long(), self._apply, call)
        return None

    def _repeated(self, call: Call) -> None:
        self._world.after(self._travel(), self._arrive, call)
        if call.name not in CLAIMS:
            self._world.after(self._long(), self._apply, call)

    def _slow(self, call: Call) -> None:
        if self._random() < 0.5:
            self._world.after(self._long(), self._arrive, call)
        else:
            self._world.after(self._travel(), self._arrive_slowly, call)

    def _arrive_slowly(self, call: Call) -> None:
        self._world.after(self._long(), self._answer, call, self._apply(call))

    def _crash(self, call: Call) -> None:
        """Its caller dies before it arrives (or is on its way), at that moment, or soon after."""
        chance, crash = self._random(), call.process.crash
        if chance < 0.3:
            self._world.after(0.0, crash)
            if chance < 0.15:
                return
            self._world.after(self._travel(), self._apply, call)
        elif chance < 0.6:
            self._world.after(self._travel(), self._arrive_dead, call)
        else:
            travel = self._travel()
            self._world.after(travel, self._arrive, call)
            self._world.after(travel + (self._travel() if chance < 0.8 else 0.0), crash)

    def _arrive_dead(self, call: Call) -> None:
        self._apply(call)
        call.process.crash()

    def _pause(self, call: Call) -> None:
        self._world.after(self._travel(), self._arrive, call)
        self._world.after(self._travel() if self._random() < 0.5 else 0.0, self._hold_up, call)

    def _hold_up(self, call: Call) -> None:
        seconds = self._long()
        self._history.add(call.process.name, "paused", seconds)
        call.process.pause(seconds)

    # The ledger's side

    def _apply(self, call: Call) -> Any:
        """Have the ledger take the call's step; what it answers or raises."""
        name, args, options = call.name, call.args, call.options
        try:
            answer = atomic(getattr(self._ledger, name)(*args, **options))
        except (AnotherCall, LeaseOver, Refused, Repeated, StepsStand, UnknownTask) as refusal:
            answer = refusal
        seen = sorted(answer) if isinstance(answer, set) else answer
        self._history.add(call.process.name, "applied", call.number, name, (*args, options), seen)
        if name in CHANGES and answer:
            counts = atomic(self._ledger.counts())
            states = {state.value: n for state, n in counts.states.items() if n}
            self._history.add("referee", "counts", counts.accepted, counts.settled, states)
        return answer

    def _answer(self, call: Call, answer: Any) -> None:
        """Let the caller hear it, if it still listens."""
        if not call.process.alive or call.future.done():
            return
        unknown = isinstance(answer, LedgerUnavailable)
        heard = UNKNOWN if unknown else sorted(answer) if isinstance(answer, set) else answer
        self._history.add(call.process.name, "heard", call.number, call.name, heard)
        if isinstance(answer, Exception):
            call.future.set_exception(answer)
        else:
            call.future.set_result(answer)


def atomic(step: Coroutine[Any, Any, Any]) -> Any:
    """The result of a step that never waits.  Raises Suspended if it does."""
    try:
        step.send(None)
    except StopIteration as done:
        return done.value
    raise Suspended
