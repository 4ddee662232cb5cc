"""The services and workers of a run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from tests.simulation.process import Process
from tests.simulation.pulling.network import Network
from tests.simulation.pulling.service import Service
from tests.simulation.pulling.worker import PullWorker
from tests.simulation.stage import Stage
from tests.simulation.world import Step

Begin = Callable[[str, Callable[[Process], Coroutine[Any, Any, None]]], None]


class Company:
    """Services, and workers that claim from them."""

    def __init__(self, stage: Stage, begin: Begin) -> None:
        """`begin` starts a process, and starts it again some time after its end."""
        self._stage = stage
        self._workers: dict[str, PullWorker] = {}  # by their process's name
        self._services: dict[str, Service] = {}
        pull = stage.scenario.pull
        if pull is None:
            return
        self._network = Network(stage, pull.faults, pull.late)
        stage.world.after(stage.scenario.window, self._network.stop)
        for _ in range(pull.services):
            begin("api", self._serve)
        for _ in range(pull.workers):
            begin("puller", self._work)

    @property
    def stops(self) -> list[Callable[[], None]]:
        """What has each worker end in order, of those that live."""
        return [partial(self._stop, one) for one in self._workers]

    def ended(self, process: Process) -> None:
        """A process is no more."""
        self._workers.pop(process.name, None)
        if service := self._services.pop(process.name, None):
            service.end()

    def _stop(self, name: str) -> None:
        worker, world = self._workers[name], self._stage.world
        world.at(world.now, Step(worker._process, worker.stop, ()))

    async def _serve(self, process: Process) -> None:
        service = self._services[process.name] = Service(self._stage, self._network, process)
        await service.run()

    async def _work(self, process: Process) -> None:
        worker = self._workers[process.name] = PullWorker(self._stage, self._network, process)
        await worker.run()
