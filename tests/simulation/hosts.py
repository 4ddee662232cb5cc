"""A host: the real supervisor, whose children are simulated processes with real workers."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from tests.simulation.handling import Handling
from tests.simulation.process import Process
from tests.simulation.stage import Stage
from tests.simulation.world import Step
from unlost.supervisor.brief import PULSE_INTERVAL, Ready
from unlost.supervisor.child.working import EXITS
from unlost.supervisor.processes.process import Child
from unlost.supervisor.processes.starting import CannotStart
from unlost.supervisor.run import _beside
from unlost.supervisor.tree import Tree
from unlost.supervisor.workers.workers import Workers
from unlost.worker.ending import Ending
from unlost.worker.worker import Worker

BEFORE = 0.3
"""Seconds, at most, that a process hears of a stop later than the programs of its handlers."""

ORPHANED = 5.0
"""Seconds, at most, that children outlive their supervisor: some of them their lease."""


class SimulatedChild(Child):
    """What a supervisor sees of a child: the same as of a real one, by other means."""

    def __init__(self, stage: Stage, host: Host, serial: int, *, alone: bool) -> None:
        self.role = "worker"
        self.id = f"{host.process.name}.w{serial}{'-alone' if alone else ''}"
        self.alone = alone
        self.started = asyncio.Event()
        self.ready = None
        self.ready_at = None
        self.doing = "starting"
        self.failure = ""
        self.is_wrong = False
        self.leaving = self.put_down = self.recording = False
        self.exited = host.process.create_future()
        self.stuck = host.process.create_future()
        self.born = self.pulsed = host.process.time()
        self.pid = serial
        self._stage = stage
        self._host = host
        self._words: deque[Callable[[], object]] = deque()
        self._drain: Callable[[], None] | None = None
        self._status = -int(signal.SIGKILL)
        self.inside = stage.process(self.id, self._end)
        self._handling = Handling(self.inside, stage.script, stage.history)
        seconds = 0.02 + 0.2 * host.draw()
        if not stage.start_hangs():
            self.inside.call_later(seconds, self._begin)

    def __hash__(self) -> int:
        return self.pid  # sets of children have the same order in every run

    def __eq__(self, other: object) -> bool:
        return self is other

    def _begin(self) -> None:
        self.inside.run(self._work())

    async def _work(self) -> None:
        """As `supervisor.child` does it."""
        stage, inside = self._stage, self.inside
        kind = type("Worker", (stage.parts.worker,), {"batch": stage.scenario.batch})
        worker = kind(
            stage.wire(inside),
            self._handling.handlers(self._host.types),
            stage.scenario.settings,
            worker_id=self.id,
            random=stage.random(self.id),
            alone=self.alone,
        )
        self._drain = partial(self._drain_worker, worker)
        self._pulse()
        recording = partial(self._say, self._hear_recording)
        ending = await worker.run(partial(self._say, self._hear_ready), self._stuck, recording)
        if ending is not Ending.LEASE_OVER:
            stage.history.add(self.id, "leaving")
            self._say(self._hear_leaving)
        self._status = EXITS[ending]

    def _hear_recording(self) -> None:
        self.recording = True

    def _stuck(self) -> None:
        self._stage.history.add(self.id, "stuck")
        self._say(self._hear_stuck)

    def _drain_worker(self, worker: Worker) -> None:
        self._stage.history.add(self.id, "drains")
        worker.drain()

    def _hears_in(self) -> float:
        """Seconds until this process hears of a stop; its programs hear of it at once."""
        if "program" not in self._stage.scenario.outcomes:
            return 0.0
        self._handling.signal()
        return BEFORE * self._host.draw()

    def _pulse(self) -> None:
        self.pulsed = self._host.process.time()
        self.inside.call_later(PULSE_INTERVAL, self._pulse)

    def _end(self, inside: Process) -> None:
        self._say(self._gone_with)

    # Words from the child arrive in their order, however long the supervisor is held up

    def _say(self, word: Callable[[], object]) -> None:
        self._words.append(word)
        at = self._stage.world.now + 0.002 * self._host.draw()
        self._stage.world.at(at, Step(self._host.process, self._hear_next, ()))

    def _hear_next(self) -> None:
        self._words.popleft()()

    def _hear_ready(self) -> None:
        self.ready = Ready(self._host.types)
        self.ready_at = self._host.process.time()
        self.started.set()

    def _hear_stuck(self) -> None:
        self.stuck.set_result(None)

    def _hear_leaving(self) -> None:
        self.leaving = True

    def _gone_with(self) -> None:
        self._gone(self._status)

    def _gone(self, status: int) -> None:
        self.started.set()
        self.exited.set_result(status)

    def show(self) -> None:
        self._stage.history.add(self.id, "started too slowly")

    def _stop(self) -> None:
        if self.ready is not None:
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self.exited.done():
            return
        if number is signal.SIGTERM:
            self._stage.history.add(self.id, "told to end")
        elif self._host.stopping:
            self._stage.history.add(self.id, "put down")
        if not self.inside.alive:
            return  # its end is not seen yet
        if number is signal.SIGKILL or self._drain is None:
            self._status = -int(number)
            self.inside.crash()
        else:
            at = self._stage.world.now + self._hears_in()
            self._stage.world.at(at, Step(self.inside, self._drain, ()))


class SimulatedTree(Tree):
    """The real tree, but for how a child is started and where the time comes from."""

    def __init__(self, stage: Stage, host: Host, ledger: Any, workers: Workers) -> None:
        super().__init__(stage.scenario.settings, ledger, workers, cast(Any, None), None)
        self._stage = stage
        self._host = host

    def _made(self, role: str, *, alone: bool) -> Child:
        return self._host.launch(alone=alone)


class Host:
    """One supervisor's life; `together` has it sweep and report as well, as it ships."""

    def __init__(self, stage: Stage, process: Process, types: tuple[str, ...]) -> None:
        self.process = process
        self.types = types
        self.draw = stage.random(f"host {process.name}").random
        self._stage = stage
        self._children: list[SimulatedChild] = []
        self._tree: Tree | None = None

    def launch(self, *, alone: bool) -> SimulatedChild:
        child = SimulatedChild(self._stage, self, len(self._children) + 1, alone=alone)
        self._children.append(child)
        return child

    @property
    def stopping(self) -> bool:
        """Whether it is about to end in order."""
        return self._tree is not None and self._tree.stopping.is_set()

    def stop_soon(self) -> None:
        """Have it end in order (SIGTERM)."""
        world = self._stage.world
        world.at(world.now, Step(self.process, self._stop, ()))

    def _stop(self) -> None:
        if self._tree is not None:
            self._stage.history.add(self.process.name, "told to end")
            self._tree.stop()

    def orphan(self) -> None:
        """Its children notice that it is gone."""
        for child in self._children:
            chance = self.draw()
            self._stage.world.after(ORPHANED * chance * chance, child.inside.crash)

    async def run(self) -> None:
        """As `supervisor.run` does it."""
        stage, process = self._stage, self.process
        ledger = stage.wire(process)
        random = stage.random(process.name)
        workers = stage.parts.workers(ledger, stage.scenario.settings, random)
        self._tree = SimulatedTree(stage, self, ledger, workers)
        endless = [workers.beat(), workers.watch(), workers.show_starting()]
        if stage.scenario.together:
            endless += [stage.sweeper(process).run(), stage.monitor(process).run()]
        await _beside(self._serve(self._tree), *endless)

    async def _serve(self, tree: Tree) -> None:
        try:
            await tree.start(frozenset({"worker"}))
        except CannotStart:
            return  # whoever started the service starts it again
        await tree.run()
