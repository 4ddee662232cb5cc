"""Who is there, and what befalls them: everybody is started again some time after their end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from tests.simulation.clients import Client
from tests.simulation.hosts import Host
from tests.simulation.process import Process
from tests.simulation.pulling.company import Company
from tests.simulation.rules import apply, free
from tests.simulation.scenario import HANDLER_LIMITS, Strike
from tests.simulation.stage import Stage

Main = Callable[[Process], Coroutine[Any, Any, None]]

DOWN = 2.0
"""Seconds, at most, until what has ended is started again."""

HOSTS_TURN = 2
"""How much more often a supervisor is struck: its end and its pauses have the most to follow."""

LOOK = 0.2
"""Seconds between the referee's looks whether all is settled."""


class Cast:
    """All actors of a run."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._draw = stage.random("cast").random
        self._born = 0
        self._hosts: dict[str, Host] = {}  # by their process's name
        self._clients = 0  # that have not finished

    def enter(self) -> None:
        """Start everybody, and plan what befalls them."""
        stage, scenario = self._stage, self._stage.scenario
        every = tuple(HANDLER_LIMITS)
        for number in range(scenario.hosts):
            types = every if number == 0 else every[:1]
            self._begin("host", partial(self._host, types))
            if not scenario.together:
                self._begin_upkeep()
        if not scenario.hosts:
            self._begin_upkeep()
        self._company = Company(stage, self._begin)
        clients: list[Main] = [
            lambda process, n=n: Client(stage, process).submit(n)  # type: ignore[misc]
            for n in sorted({planned.client for planned in scenario.submissions})
        ]
        if scenario.acts:
            clients.append(lambda process: Client(stage, process).act())
        self._clients = len(clients)
        for main in clients:
            self._begin("client", main)
        for strike in scenario.strikes:
            stage.world.after(strike.at, self._strike, strike)
        for rule in scenario.rules:
            stage.world.after(rule.at, apply, stage.ledger, rule)
        for at in scenario.asks:
            stage.world.after(at, stage.referee.ask_why)
        stage.world.after(scenario.window, free, stage.ledger)
        stage.world.after(scenario.window, stage.stop_faults)
        stage.world.after(scenario.window, self._look)

    def _begin_upkeep(self) -> None:
        self._begin("sweeper", lambda process: self._stage.sweeper(process).run())
        self._begin("monitor", lambda process: self._stage.monitor(process).run())

    def _begin(self, role: str, main: Main) -> None:
        self._born += 1
        name = f"{role}{self._born}"
        process = self._stage.process(name, partial(self._ended, role, main))
        process.run(main(process))

    def _ended(self, role: str, main: Main, process: Process) -> None:
        self._company.ended(process)
        host = self._hosts.pop(process.name, None)
        if host is not None:
            host.orphan()
        if role == "client" and not process.crashed:
            self._clients -= 1
            return
        chance = self._draw()
        self._stage.world.after(0.05 + DOWN * chance * chance, self._begin, role, main)

    async def _host(self, types: tuple[str, ...], process: Process) -> None:
        host = self._hosts[process.name] = Host(self._stage, process, types)
        await host.run()

    def _strike(self, strike: Strike) -> None:
        if strike.kind == "deploy":
            stops = [host.stop_soon for host in self._hosts.values()] + self._company.stops
            if stops:
                stops[int(strike.share * len(stops))]()
            return
        living = [process for process in self._stage.processes if process.alive]
        living += [host.process for host in self._hosts.values()] * HOSTS_TURN
        if not living:
            return
        chosen = living[int(strike.share * len(living))]
        if strike.kind == "crash":
            chosen.crash()
        else:
            self._stage.pause(chosen, strike.seconds)

    def _look(self) -> None:
        """End the run once there is nothing left to wait for."""
        if not self._clients and self._stage.referee.settled():
            self._stage.world.over = True
        else:
            self._stage.world.after(LOOK, self._look)
