"""The ASGI app: what is called leads to what is done, and errors lead to refusals, all here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from random import SystemRandom
from time import perf_counter
from typing import Any, Final, cast

from msgspec.structs import replace
from starlette.responses import Response
from starlette.routing import Router as Lifespan
from starlette.types import Message, Receive, Scope, Send

from unlost.access import proxies
from unlost.access.auth import Auth
from unlost.api.answers.giving_back import giving_back
from unlost.api.answers.turns import Turns
from unlost.api.calls import attempts
from unlost.api.calls.attempts.pulls import PullingLedger
from unlost.api.calls.console import Console
from unlost.api.calls.dead_letters import DeadLetters
from unlost.api.calls.events import Events
from unlost.api.calls.lists import Lists
from unlost.api.calls.metrics import Metrics
from unlost.api.calls.redrives import Redrives
from unlost.api.calls.schedule_times import ScheduleTimes
from unlost.api.calls.schedules import Schedules
from unlost.api.calls.status import RatesOf, Status
from unlost.api.calls.submitting.backlog import Backlog
from unlost.api.calls.submitting.batch import Batches
from unlost.api.calls.submitting.intake import Intake
from unlost.api.calls.submitting.pace import Pace
from unlost.api.calls.submitting.timeouts import Timeouts
from unlost.api.calls.tasks import Tasks
from unlost.api.calls.types import Types
from unlost.api.calls.watching.watch import Watch
from unlost.api.calls.workers import Workers
from unlost.api.frame import OWN, Frame, not_offered, refused
from unlost.api.http.admission import Admission
from unlost.api.http.gate import HEALTH, Gate, rules
from unlost.api.http.known_keys import KnownKeys
from unlost.api.http.routing import Route, Router
from unlost.api.openapi.operation import Operation
from unlost.api.openapi.operations.pages import PAGES
from unlost.api.openapi.pages import Pages
from unlost.api.problems import (
    Internal,
    Problem,
    Unavailable,
    let_go,
    log_cause,
    problem_of,
    render,
)
from unlost.api.request import query
from unlost.api.request.caller import set_caller
from unlost.api.request.leaving import ClientGone
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import Ledger, LedgerUnavailable, Pulling
from unlost.settings import Settings
from unlost.task import Micros
from unlost.telemetry.lasting import lasting
from unlost.telemetry.logs import Log
from unlost.telemetry.measuring import Recorder, publishing
from unlost.telemetry.redaction import Redaction
from unlost.telemetry.seldom import Seldom, Tells
from unlost.tracing import OFF, Tracing

LOG = Log("unlost.api")

NOWHERE: Final = "none"
"""What a call is counted as that leads to no operation."""

ANSWERS: Final = 12 * 1024 * 1024
"""Bytes that single tasks and lists without big members take as answers, over all calls."""

BIG_LISTS: Final = 28 * 1024 * 1024
"""The same of lists with big members, which wait for each other, and nobody else for them: room
for one that is made and one that is sent."""

SAMPLE_EVERY: Final = 1.0
"""Seconds between looks at the counters, for the rates."""


def create_app(
    ledger: Ledger,
    settings: Settings,
    clock: Callable[[], Micros] = wall_clock,
    *,
    frame: Frame = OWN,
    auth: Auth | None = None,
    rates: RatesOf | None = None,
    tracing: Tracing = OFF,
    unavailable: Tells | None = None,
) -> App:
    """The app over a ledger, which stays the caller's to close.

    `frame` has the bounds of its home; `auth` says whether calls need a key, where it is not the
    settings that do.  `rates` tells the tasks submitted and settled a second where no process is
    there all the time to watch the counters.
    `tracing` is told of submits, `unavailable` why a call is answered 503; without it the log is.
    """
    frame = replace(
        frame, callbacks=settings.callbacks or frame.callbacks, redaction=Redaction(settings.redact)
    )
    watch = Watch(ledger, settings.max_connections // 2)
    backlog = Backlog(ledger, settings.max_outstanding, clock)
    status = Status(ledger, backlog, rates)
    pace, timeouts = Pace(clock), Timeouts(ledger, frame.longest_timeout)
    intake = Intake(ledger, pace, backlog, timeouts, tracing=tracing, min_free=settings.min_free)
    recorder = Recorder()
    unavailable = unavailable or Seldom(LOG, "api.unavailable")
    freed, retries, root = asyncio.Event(), settings.max_retries, settings.root_path
    believed = proxies.believed(settings.forwarded_allow_ips)
    auth = settings.access if auth is None else auth
    gate = Gate(rules(settings, auth, gateway=frame.gateway), believed, root)
    turns, big_lists = Turns(ANSWERS, freed), Turns(BIG_LISTS, freed)
    known = KnownKeys(ledger, clock, settings.ledger, frozen=frame.gateway)
    keys = known if auth.needs_key else None
    admission, home = Admission(gate, keys), Home(frame, auth)
    routes = [
        *Tasks(ledger, intake, watch, recorder, turns, retries, frame, root).routes(
            tracing, admission.still if tracing is OFF and not settings.cors_origin else None
        ),
        *Lists(ledger, turns, big_lists, retries, frame).routes(),
        *Batches(intake, unavailable, recorder, frame).routes(tracing),
        *DeadLetters(ledger, turns, retries, frame).routes(),
        *Redrives(ledger, frame, root).routes(),
        *Schedules(ledger, turns, retries, frame, root).routes(),
        *Types(ledger, clock, frame).routes(),
        *Workers(ledger).routes(),
        *_pulling(ledger, watch, recorder, settings, clock, frame),
        *ScheduleTimes(clock).routes(),
        *status.routes(),
        *Events(watch, admission.holds).routes(),
        *Metrics(ledger, clock, settings.outbox).routes(),
    ]
    described = [*map(home.describe, (route.operation for route in routes)), *PAGES]
    routes += Pages(lambda: _document(described, frame, root, secured=auth.needs_key)).routes()
    routes += Console(root).routes()
    return App(
        Router([home.place(route) for route in routes], decoded=frame.decoded_paths, root=root),
        admission,
        watch,
        status,
        recorder,
        lambda: publishing(ledger, recorder),
        unavailable,
        freed,
    )


def _pulling(
    ledger: Ledger,
    watch: Watch,
    recorder: Recorder,
    settings: Settings,
    clock: Callable[[], Micros],
    frame: Frame,
) -> list[Route]:
    """The calls of workers that claim by the API, where the ledger has something for them."""
    if not isinstance(ledger, Pulling):
        return []
    pulling = cast("PullingLedger", ledger)
    return attempts.routes(pulling, watch, recorder, settings, clock, frame, SystemRandom())


def _document(
    described: list[Operation], frame: Frame, root: str, *, secured: bool
) -> dict[str, Any]:
    from unlost.api.openapi.document import document  # noqa: PLC0415  a cold start must not pay for it

    return document(described, frame, secured=secured, root=root)


class Home:
    """Fits routes to where they are: what is not offered there is refused."""

    def __init__(self, frame: Frame, auth: Auth) -> None:
        self._frame = frame
        self._names_matter = not auth.needs_key and not frame.gateway

    def describe(self, operation: Operation) -> Operation:
        """The operation as it is here."""
        if operation.path in self._frame.instead:
            return refused(operation)
        statuses = [*operation.refused, 403]
        if self._names_matter and operation.path not in HEALTH:
            statuses.append(421)
        if self._frame.decoded_paths and "{" in operation.path:
            statuses.append(422)
        return replace(operation, refused=tuple(statuses))

    def place(self, route: Route) -> Route:
        """The route as it is here."""
        operation, endpoint = route
        instead = self._frame.instead.get(operation.path)
        if instead is not None:
            endpoint = not_offered(instead)
        return Route(self.describe(operation), endpoint)


class App:
    """Calls the endpoint of each request, turns what it raises into the answer, and counts it.

    Who may make a call is decided by `admission`, once it is known where it leads and before it is
    passed on.  Why calls are answered 503 is told to `unavailable`.  What `recorder` has is
    published within `publish`, which is as long as the app runs.  Memory is given back after
    `freed` was set.
    """

    def __init__(
        self,
        router: Router,
        admission: Admission,
        watch: Watch,
        status: Status,
        recorder: Recorder,
        publish: Callable[[], AbstractAsyncContextManager[None]],
        unavailable: Tells,
        freed: asyncio.Event,
    ) -> None:
        self.routes = router.routes
        self._find = router.find
        self._admission = admission
        self.watch = watch
        self._status = status
        self._recorder = recorder
        self._publish = publish
        self._unavailable = unavailable
        self._freed = freed
        self._lifespan = Lifespan(lifespan=self._running).lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            send = _without_body(send)
        send = self._admission.gate.readable(scope, send)
        began = perf_counter()
        answer = _Answer(send)
        name = await self._answer(scope, receive, answer)
        if answer.status:
            self._recorder.answered(name, answer.status, perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> str:
        """Answer a call; the name of its operation."""
        name = NOWHERE
        try:
            answer = self._admission.gate.enter(scope)
            if answer is not None:
                await answer(scope, receive, send)
                return name
            route = self._route(scope)
            operation = route.operation if isinstance(route, Route) else None
            name = NOWHERE if operation is None else operation.name
            caller = await self._admission.caller(scope, operation)
            set_caller(scope, caller)
            if isinstance(route, Problem):
                raise route
            if scope["query_string"] and route.operation.without_query:
                query.read(scope["query_string"], ())
            if route.operation.body is not None:
                receive = self._admission.while_it_holds(caller, receive)
            await route.endpoint(scope, receive, send)
        except ClientGone:
            pass
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                LOG.exception(
                    "api.failed", extra={"call": f"{scope['method']} {scope['path'][:200]}"}
                )
                problem = Internal("the service failed; what went wrong is in its log")
            if isinstance(problem, Unavailable):
                log_cause(self._unavailable, error)
            let_go(error)
            await self.refuse(problem)(scope, receive, send)
        return name

    def refuse(self, problem: Problem) -> Response:
        """The answer that says what was wrong; it is counted."""
        self._recorder.refused(problem.kind)
        return render(problem)

    def _route(self, scope: Scope) -> Route | Problem:
        """Where the call leads, or why nowhere, which a stranger is not told."""
        try:
            return self._find(scope)
        except Problem as nowhere:
            return nowhere

    def let_go(self) -> None:
        """Answer those who wait for something to happen, since the service stops."""
        self.watch.close()

    @asynccontextmanager
    async def _running(self, _: object) -> AsyncIterator[None]:
        sampling = lasting("rates", self._sample, SAMPLE_EVERY)
        steps = (sampling, giving_back(self._freed), self._admission.keep_fresh())
        aside = [asyncio.create_task(step) for step in steps]
        try:
            async with self._publish():
                yield
        finally:
            self.let_go()
            for task in aside:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _sample(self) -> None:
        with suppress(LedgerUnavailable):
            await self._status.current()


class _Answer:
    """Passes an answer on and remembers its status: 0 where there was none."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        return self._send(message)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
