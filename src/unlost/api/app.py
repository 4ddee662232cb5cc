"""The ASGI app: what is called leads to what is done, and errors lead to refusals, all here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from starlette.routing import Router as Lifespan
from starlette.types import Message, Receive, Scope, Send

from unlost.api import operations as op
from unlost.api.batch import Batches
from unlost.api.calls import responding
from unlost.api.dead_letters import DeadLetters
from unlost.api.events import Events
from unlost.api.intake import Intake
from unlost.api.openapi import document
from unlost.api.pages import Pages
from unlost.api.problems import Internal, problem_of, render
from unlost.api.reading import ClientGone
from unlost.api.routing import Route, Router
from unlost.api.status import Status
from unlost.api.tasks import Tasks
from unlost.api.watching import Watch
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.settings import Settings
from unlost.task import Micros

LOG = logging.getLogger("unlost.api")

SAMPLE_EVERY: Final = 1.0
"""Seconds between looks at the counters, for the rates."""


def create_app(ledger: Ledger, settings: Settings, clock: Callable[[], Micros] = wall_clock) -> App:
    """The app over a ledger, which stays the caller's to close."""
    watch, intake, status = Watch(ledger), Intake(ledger), Status(ledger, clock)
    tasks = Tasks(ledger, intake, watch, settings.max_retries)
    dead = DeadLetters(ledger, settings.max_retries)
    routes = [
        Route(op.SUBMIT, tasks.submit),
        Route(op.SUBMIT_BATCH, responding(Batches(intake).submit)),
        Route(op.LIST, responding(tasks.list)),
        Route(op.SHOW, responding(tasks.show)),
        Route(op.CANCEL, responding(tasks.cancel)),
        Route(op.DEAD_LETTERS, responding(tasks.list_dead)),
        Route(op.GROUPS, responding(dead.groups)),
        Route(op.REDRIVE, responding(dead.redrive)),
        Route(op.REDRIVE_MANY, responding(dead.redrive_many)),
        Route(op.DISCARD, responding(dead.discard)),
        Route(op.STATS, responding(status.stats)),
        Route(op.AUDIT, responding(status.audit)),
        Route(op.EVENTS, Events(watch).stream),
        Route(op.LIVE, responding(status.live)),
        Route(op.READY, responding(status.ready)),
        Route(op.METRICS, responding(status.metrics)),
    ]
    described = [*(route.operation for route in routes), op.DOCUMENT, op.DOCS, op.HOME]
    pages = Pages(status.current, document(described))
    routes += [
        Route(op.DOCUMENT, responding(pages.openapi)),
        Route(op.DOCS, responding(pages.docs)),
        Route(op.HOME, responding(pages.home)),
    ]
    return App(routes, watch, status)


class App:
    """Calls the endpoint of each request, and turns what it raises into the answer."""

    def __init__(self, routes: list[Route], watch: Watch, status: Status) -> None:
        self.routes = routes
        self._find = Router(routes).find
        self.watch = watch
        self._status = status
        self._lifespan = Lifespan(lifespan=self._running).lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            send = _without_body(send)
        try:
            await self._find(scope)(scope, receive, send)
        except ClientGone:
            pass
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                LOG.exception(
                    "api.failed", extra={"call": f"{scope['method']} {scope['path'][:200]}"}
                )
                problem = Internal("the service failed; what went wrong is in its log")
            await render(problem)(scope, receive, send)

    def let_go(self) -> None:
        """Answer those who wait for something to happen, since the service stops."""
        self.watch.close()

    @asynccontextmanager
    async def _running(self, _: object) -> AsyncIterator[None]:
        sampling = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            self.let_go()
            sampling.cancel()
            with suppress(asyncio.CancelledError):
                await sampling

    async def _sample(self) -> None:
        while True:
            with suppress(LedgerUnavailable):
                await self._status.current()
            await asyncio.sleep(SAMPLE_EVERY)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
