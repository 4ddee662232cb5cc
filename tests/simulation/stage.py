"""What all actors of one run share, and the parts that they are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from tests.simulation.adversary import Adversary
from tests.simulation.hints import Channel
from tests.simulation.history import History
from tests.simulation.process import Process, Skew
from tests.simulation.referee import Referee
from tests.simulation.scenario import Scenario, Script
from tests.simulation.wire import wired, wired_to_pull
from tests.simulation.world import World
from unlost.api.calls.attempts.pulls import PullingLedger
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger
from unlost.supervisor.workers.workers import Workers
from unlost.upkeep.monitor import Monitor
from unlost.upkeep.sweeper import Sweeper
from unlost.worker.worker import Worker


@dataclass(frozen=True)
class Parts:
    """The classes under test; a mutant puts a broken one in."""

    ledger: type[MemoryLedger] = MemoryLedger
    worker: type[Worker] = Worker
    workers: type[Workers] = Workers
    sweeper: type[Sweeper] = Sweeper
    monitor: type[Monitor] = Monitor
    calls: Mapping[str, type] = field(default_factory=dict)  # of `api.calls.attempts`, by name


class Stage:
    """One run's world, ledger and record."""

    def __init__(self, scenario: Scenario, parts: Parts) -> None:
        self.scenario = scenario
        self.parts = parts
        self.world = World(scenario.stream("steps").random)
        self.history = History(self.world)
        self.ledger = parts.ledger(self.world.clock)
        self.ledger._secret = b"the same in every run"
        self.channel = Channel(self.world, scenario)
        self.ledger._hints = cast(Any, self.channel)
        self.adversary = Adversary(self.world, self.ledger, self.history, scenario)
        self.referee = Referee(self.ledger, self.history)
        self.script = Script(scenario)
        self.processes: list[Process] = []
        self._skews = scenario.stream("skew").random
        self._writes = scenario.stream("writes").random
        self._write_faults = scenario.rate("writes")
        self._starts = scenario.stream("start").random
        self._start_faults = scenario.rate("start")

    def stop_faults(self) -> None:
        """From now on nothing goes wrong but what handlers and people do."""
        self.adversary.stop()
        self.channel.stop()
        self._write_faults = self._start_faults = 0.0
        self.history.add("referee", "faults over")

    def start_hangs(self) -> bool:
        """Whether a start that begins now never ends."""
        return self._starts() < self._start_faults

    def random(self, name: str) -> Random:
        """A process's own generator."""
        return self.scenario.stream(name)

    def process(self, name: str, ended: Callable[[Process], None]) -> Process:
        """A new process."""

        def end(process: Process) -> None:
            self.history.add(name, "crashed" if process.crashed else "exited")
            ended(process)

        process = Process(self.world, name, self._skew(name), end)
        self.processes.append(process)
        self.history.add(name, "born")
        return process

    def _skew(self, name: str) -> Skew:
        if self._skews() >= self.scenario.rate("skew"):
            return Skew()
        ahead, drift = 8 * self._skews() - 4, 0.06 * self._skews() - 0.03
        return Skew(ahead, 1.0 + drift)

    def wire(self, process: Process) -> Ledger:
        """The ledger as this process has it."""
        if self.scenario.pull is not None:
            return self.pulling_wire(process)
        return wired(self.adversary, self.channel, process)

    def pulling_wire(self, process: Process) -> PullingLedger:
        """The same of one from which workers can claim by the API."""
        return wired_to_pull(self.adversary, self.channel, process)

    def sweeper(self, process: Process) -> Sweeper:
        """A sweeper for a process to run."""
        return self.parts.sweeper(
            self.wire(process),
            self.scenario.settings,
            clock=process.clock,
            monotonic=process.time,
            random=self.random(f"{process.name} sweeper"),
        )

    def monitor(self, process: Process) -> Monitor:
        """A monitor for a process to run."""
        return self.parts.monitor(self.wire(process), self._log_of(process))

    def pause(self, process: Process, seconds: float) -> None:
        """Hold a process up."""
        self.history.add(process.name, "paused", seconds)
        process.pause(seconds)

    def _log_of(self, process: Process) -> Callable[[bytes], Awaitable[None]]:
        """Where a monitor writes its lines.  Raises OSError at times, or ends the process."""

        async def write(line: bytes) -> None:
            await asyncio.sleep(0.001)
            if self._writes() >= self._write_faults:
                self.history.add(process.name, "wrote", line)
                return
            chance = self._writes()
            if chance < 0.5:
                self.history.add(process.name, "unwritten", line)
                raise OSError("simulated")
            self.history.add(process.name, "wrote", line)
            if chance < 0.6:
                process.crash()
            elif chance < 0.7:
                self.pause(process, 40 * self._writes())
            await asyncio.sleep(0.001)

        return write
