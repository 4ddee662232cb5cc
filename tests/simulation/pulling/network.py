"""The way between workers and services, with an adversary on it.

A request may never arrive, arrive long after its caller gave up, or twice; its answer may be lost,
or take its time; the service or the caller may die or be held up at any point of it.  Whoever is
not answered hears that the connection broke, or nothing at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol

from tests.simulation.process import Process
from tests.simulation.stage import Stage
from tests.simulation.world import Step

QUICK = 0.004

KINDS = (
    "lost", "unanswered", "late", "repeated", "slow", "crash", "pause", "down", "stopped",
)  # fmt: skip
"""Of faults.  `down` ends the service, `stopped` holds it up; `crash` and `pause` are the
caller's."""


class Answer(NamedTuple):
    """What a call was answered."""

    status: int
    body: bytes


class Exchange:
    """A call on its way.  `hung_up` are called once its caller has gone."""

    __slots__ = ("body", "future", "hung_up", "is_over", "path", "process")

    def __init__(self, process: Process, path: str, body: bytes) -> None:
        self.process = process
        self.path = path
        self.body = body
        self.future: asyncio.Future[Answer | None] = process.create_future()
        self.hung_up: list[Callable[[], None]] = []
        self.is_over = False


class Serving(Protocol):
    """One that answers calls."""

    process: Process

    def take(self, exchange: Exchange) -> None:
        """Answer a call, by `Network.answered`."""
        ...


class Network:
    """Carries calls, until `stop` with all the faults that the scenario has."""

    def __init__(self, stage: Stage, faults: dict[str, float], longest: float) -> None:
        self._stage = stage
        self._world = stage.world
        self._random = stage.random("network").random
        self._longest = longest
        self._services: list[Serving] = []
        self._fates: list[tuple[float, Callable[[Exchange], None]]] = []
        total = 0.0
        for kind in KINDS:
            if rate := faults.get(kind, 0.0):
                total += rate
                self._fates.append((total, getattr(self, f"_{kind}")))

    def stop(self) -> None:
        """Carry every call from now on; what is under way may still come late."""
        self._fates = []

    def join(self, service: Serving) -> None:
        """Have calls come to this service, too, for as long as it lives."""
        self._services.append(service)

    def send(self, process: Process, path: str, body: bytes) -> Exchange:
        """Take a call from a process; its future is what it hears, None where it breaks."""
        exchange = Exchange(process, path, body)
        chance = self._random()
        for limit, fate in self._fates:
            if chance < limit:
                fate(exchange)
                return exchange
        self._travel(exchange)
        return exchange

    def hang_up(self, exchange: Exchange) -> None:
        """Its caller waits no longer; mostly, that is noticed."""
        exchange.is_over = True
        if self._random() < 0.7:
            for told in exchange.hung_up:
                self._world.after(self._short(), told)

    def answered(self, exchange: Exchange, answer: Answer) -> None:
        """A service has answered."""
        self._world.after(self._short(), self._hear, exchange, answer)

    def broke(self, exchange: Exchange) -> None:
        """The service of a call has ended."""
        self._world.after(self._short(), self._break, exchange)

    def _short(self) -> float:
        chance = self._random()
        return 0.0002 + QUICK * chance * chance

    def _long(self) -> float:
        """Seconds as short as an attempt, or as long as a lease and more."""
        longest = self._longest if self._random() < 0.5 else 1.0
        chance = self._random()
        return longest * chance * chance

    # What may become of a call

    def _travel(self, exchange: Exchange) -> None:
        self._world.after(self._short(), self._arrive, exchange)

    def _arrive(self, exchange: Exchange) -> None:
        service = self._any()
        if service is None:
            self.broke(exchange)
        else:  # one that is held up takes it later
            step = Step(service.process, service.take, (exchange,))
            self._world.at(self._world.now, step)

    def _any(self) -> Serving | None:
        self._services = living = [one for one in self._services if one.process.alive]
        return living[int(self._random() * len(living))] if living else None

    def _hear(self, exchange: Exchange, answer: Answer) -> None:
        if exchange.process.alive and not exchange.future.done():
            exchange.future.set_result(answer)

    def _break(self, exchange: Exchange) -> None:
        if exchange.process.alive and not exchange.future.done():
            exchange.future.set_result(None)

    def _unheard(self, exchange: Exchange) -> Exchange:
        """The same call, whose answer nobody hears."""
        return Exchange(exchange.process, exchange.path, exchange.body)

    def _breaks(self, exchange: Exchange) -> None:
        """Its caller hears that, soon, or nothing at all."""
        if self._random() < 0.7:
            self._world.after(3 * self._short(), self._break, exchange)

    def _lost(self, exchange: Exchange) -> None:
        self._breaks(exchange)

    def _unanswered(self, exchange: Exchange) -> None:
        self._travel(self._unheard(exchange))
        self._breaks(exchange)

    def _late(self, exchange: Exchange) -> None:
        self._world.after(self._long(), self._arrive, self._unheard(exchange))
        self._breaks(exchange)

    def _repeated(self, exchange: Exchange) -> None:
        self._travel(exchange)
        self._world.after(self._long(), self._arrive, self._unheard(exchange))

    def _slow(self, exchange: Exchange) -> None:
        self._world.after(self._long(), self._arrive, exchange)

    def _crash(self, exchange: Exchange) -> None:
        self._travel(exchange)
        self._world.after(3 * self._short(), exchange.process.crash)

    def _pause(self, exchange: Exchange) -> None:
        self._travel(exchange)
        self._world.after(3 * self._short(), self._hold_up, exchange.process)

    def _down(self, exchange: Exchange) -> None:
        self._travel(exchange)
        if service := self._any():
            self._world.after(3 * self._short(), service.process.crash)

    def _stopped(self, exchange: Exchange) -> None:
        self._travel(exchange)
        if service := self._any():
            self._world.after(3 * self._short(), self._hold_up, service.process)

    def _hold_up(self, process: Process) -> None:
        if process.alive:
            self._stage.pause(process, self._long())
