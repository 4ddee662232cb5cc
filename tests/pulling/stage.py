"""A worker that claims by the API of a service in this process, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx

from tests.unit.stage import Stage, Unreliable
from tests.unit.virtual import clock
from unlost.access.auth import Auth
from unlost.api.app import create_app
from unlost.client.core.wire import Answer, NoAnswer, Reply, Request
from unlost.handlers import Handlers
from unlost.pulling.board import Board
from unlost.pulling.puller import Puller
from unlost.pulling.service import Service
from unlost.settings import Settings
from unlost.task import DEFAULT_TYPE
from unlost.tracing import OFF, Tracing
from unlost.upkeep.sweeper import Sweeper

MOST_CALLS = 2_000


class InProcess:
    """Reaches an app without a socket.

    `faults` says of a path what becomes of its next calls: "before" loses the request, "after" the
    answer.  `calls` are those that arrived.  No body with `unreadable` in it can be settled: 400.
    """

    def __init__(self, app: Any) -> None:
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost"
        )
        self.faults: dict[str, list[str]] = {}
        self.unreadable = b""
        self.calls: list[tuple[str, bytes]] = []

    async def ask(self, step: Request, within: float | None = None) -> Reply:
        planned = self.faults.get(step.path)
        fault = planned.pop(0) if planned else ""
        if fault == "before":
            return NoAnswer("the connection broke")
        self.calls.append((step.path, step.body or b""))
        if len(self.calls) > MOST_CALLS:
            asyncio.get_running_loop().stop()  # the test does not come to its end
        if self.unreadable and self.unreadable in (step.body or b""):
            return Answer(400, b"", "")
        headers = {"content-type": step.content_type}
        answer = await self._http.request(
            step.method, step.path, content=step.body, headers=headers
        )
        if fault == "after":
            return NoAnswer("the connection broke")
        return Answer(answer.status_code, answer.content, answer.headers.get("retry-after", ""))

    async def close(self) -> None:
        await self._http.aclose()


class PullStage(Stage):
    """`edge` is the way to the service."""

    edge: InProcess
    board: Board

    async def running(self, task_id: str) -> None:
        """Return once an attempt of the task runs, and the worker has heard so."""
        await super().running(task_id)
        await asyncio.sleep(0.001)


@asynccontextmanager
async def stage(
    handler: Any,
    *,
    ledger: Unreliable | None = None,
    alone: bool = False,
    tracing: Tracing = OFF,
    **settings: Any,
) -> AsyncIterator[PullStage]:
    """A worker with this handler (or `Handlers`) at work, drained at the end."""
    if isinstance(handler, Handlers):
        handlers = handler
    else:
        handlers = Handlers.for_every_type(handler).only([DEFAULT_TYPE, "add", "other"])
    ledger = ledger or Unreliable(clock)
    chosen = Settings(**{"lease": 43_200.0, "seed": 7} | settings)
    loop = asyncio.get_running_loop()
    edge = InProcess(create_app(ledger, chosen, clock, auth=Auth.NONE))
    sweeper = Sweeper(ledger, chosen, clock=clock, monotonic=loop.time, random=Random(7))
    sweeping = asyncio.create_task(sweeper.run())
    board = Board.of(1_000)
    worker = Puller(
        Service("http://localhost", edge),
        handlers,
        chosen,
        worker_id="w1",
        random=Random(7),
        board=board,
        alone=alone,
        tracing=tracing,
    )
    playing = PullStage(ledger, worker)
    playing.edge, playing.board = edge, board
    await asyncio.sleep(0)
    try:
        yield playing
        if not playing.worker_task.done():
            await playing.drained()
    finally:
        sweeping.cancel()
        board.close()
        await edge.close()
