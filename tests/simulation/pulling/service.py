"""A service: the calls of workers as the API serves them, in a simulated process."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

from starlette.types import Message

from tests.simulation.process import Process
from tests.simulation.pulling.network import Answer, Exchange, Network
from tests.simulation.stage import Stage
from unlost.api.calls import attempts
from unlost.api.calls.watching.watch import Watch
from unlost.api.frame import OWN
from unlost.api.http.routing import Router
from unlost.api.problems import problem_of, render
from unlost.api.request.leaving import ClientGone
from unlost.telemetry.measuring import Recorder

FOR_EVER = 1e9


class Service:
    """One life of a service that runs no handlers."""

    def __init__(self, stage: Stage, network: Network, process: Process) -> None:
        self.process = process
        self._network = network
        ledger = stage.pulling_wire(process)
        self._open: dict[Exchange, None] = {}
        with patch.dict(vars(attempts), stage.parts.calls):
            self._find = Router(
                attempts.routes(
                    ledger,
                    Watch(ledger),
                    Recorder(),
                    stage.scenario.settings,
                    process.clock,
                    OWN,
                    stage.random(process.name),
                )
            ).find
        network.join(self)

    async def run(self) -> None:
        """Be there, until something ends it."""
        await asyncio.sleep(FOR_EVER)

    def take(self, exchange: Exchange) -> None:
        """Answer a call."""
        self._open[exchange] = None
        self.process.create_task(self._answer(exchange))

    def end(self) -> None:
        """Whoever waits for an answer hears that there will be none."""
        for exchange in self._open:
            self._network.broke(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": exchange.path,
            "headers": [],
            "query_string": b"",
        }
        call = _Call(self.process, exchange)
        try:
            await self._find(scope).endpoint(scope, call.receive, call.send)
        except ClientGone:
            pass
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            await render(problem)(scope, call.receive, call.send)
        del self._open[exchange]
        if call.status:
            self._network.answered(exchange, Answer(call.status, bytes(call.body)))


class _Call:
    """One call, as ASGI has it."""

    def __init__(self, process: Process, exchange: Exchange) -> None:
        self.status = 0
        self.body = bytearray()
        self._process = process
        self._exchange = exchange
        self._is_read = False

    async def receive(self) -> Message:
        if self._is_read:
            await self._hung_up()
            return {"type": "http.disconnect"}
        self._is_read = True
        return {"type": "http.request", "body": self._exchange.body}

    async def _hung_up(self) -> None:
        gone = asyncio.Event()

        def told() -> None:
            if self._process.alive:
                self._process.call_soon(gone.set)

        self._exchange.hung_up.append(told)
        await gone.wait()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message["body"]
