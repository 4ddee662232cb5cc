"""The way of hints, with an adversary on it: lost, repeated, late, and so in another order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from tests.simulation.process import Process
from tests.simulation.scenario import Scenario
from tests.simulation.world import Step, World
from unlost.ledger.local_hints import LocalHints
from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken

QUICK = 0.002


class Channel:
    """What the ledger calls to hint, and where processes listen."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self._rate = scenario.rate("hints")
        self._longest = scenario.settings.lease
        self._random = scenario.stream("hints").random
        self._listeners: list[tuple[Process, LocalHints]] = []
        self._nobody = LocalHints()

    def stop(self) -> None:
        """Carry every hint from now on."""
        self._rate = 0.0

    def join(self, process: Process) -> LocalHints:
        """Where a process listens; hints of its own ledger calls reach it this way, too."""
        local = LocalHints()
        self._listeners = [one for one in self._listeners if one[0].alive]
        self._listeners.append((process, local))
        return local

    def wake(self, types: Woken = None) -> None:
        for process, local in self._listeners:
            self._hint(process, local.wake, types)

    def begin(self) -> None:
        for process, local in self._listeners:
            self._hint(process, local.begin)

    def _hint(self, process: Process, hear: Callable[..., None], *about: Woken) -> None:
        def carry(within: float) -> None:
            at = self._world.now + within * self._random()
            self._world.at(at, Step(process, hear, about))

        if self._random() >= self._rate:
            return carry(QUICK)
        chance = self._random()
        if chance < 0.5:
            return None  # lost
        carry(self._longest)
        return carry(QUICK) if chance < 0.75 else None

    def publish(self, transition: Transition) -> None:
        """Nobody watches transitions here; what they say is in the calls themselves."""

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        """What nobody publishes."""
        return self._nobody.transitions()
