"""`api`: the function behind API Gateway, which is the HTTP API."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from mangum import Mangum
from starlette.types import ASGIApp, Receive, Scope, Send

from unlost.access.auth import Auth
from unlost.api.app import create_app
from unlost.api.frame import SWEPT_GRACE, Frame
from unlost.api.problems import MEDIA_TYPE, RETRY_AFTER, Unavailable, render
from unlost.aws import environment, home, sandbox
from unlost.aws.environment import Environment
from unlost.aws.gateway import Gateway
from unlost.aws.tracing import Function
from unlost.ledger.dynamodb.records import counting
from unlost.ledger.opening import wall_clock

LONGEST_CALL: Final = 29.0
"""Seconds after which API Gateway waits for no answer, less one."""

RESERVE: Final = 1.0
"""Seconds of an invocation that are left for its end."""

INSTEAD: Final = {
    "/events": "GET /tasks/{taskId}?wait=25",
    "/metrics": "CloudWatch",
    "/audit": "`unlost audit --ledger dynamodb://TABLE`",
}

TEXTS: Final = ["text/", "application/json", MEDIA_TYPE]


def frame(environment: Environment) -> Frame:
    """The bounds that Lambda and API Gateway set."""
    return Frame(
        instead=INSTEAD,
        batch_tasks=1_000,
        batch_bytes=5_000_000,
        longest_timeout=environment.longest_attempt,
        longest_wait=25.0,
        longest_claim=20.0,  # and then it starts attempts, and reads what goes with them
        page_bytes=4_000_000,
        measured=quoted,
        decoded_paths=True,
        legible=True,
        schedule_grace=SWEPT_GRACE,
        gateway=True,
    )


def quoted(json: bytes) -> int:
    """Bytes of JSON that is quoted in JSON, which is how Lambda hands an answer on."""
    return len(json) + json.count(b'"') + json.count(b"\\")


class InTime:
    """Answers 503 where the app does not before nobody waits any more: what was asked may have
    been done, and is safe to be asked again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.seconds = LONGEST_CALL

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self.seconds):
                await self._app(scope, receive, send)
        except TimeoutError:
            late = Unavailable("the service did not answer in time; try again", headers=RETRY_AFTER)
            await render(late)(scope, receive, send)


def make() -> Function:
    """The function, once in a sandbox."""
    box = sandbox.opened((environment.QUEUE, environment.DEAD_LETTERS))
    ledger, _, calls = home.opened(box)
    app = InTime(
        create_app(
            ledger,
            box.environment.settings,
            frame=frame(box.environment),
            auth=Auth.KEYS if box.environment.keys_required else Auth.NONE,
            rates=lambda: counting.rates(calls, wall_clock()),
        )
    )
    adapter = Mangum(app, lifespan="off", custom_handlers=[Gateway], text_mime_types=TEXTS)

    def function(event: Any, context: Any) -> Any:
        box.invoked(context)
        app.seconds = min(LONGEST_CALL, sandbox.left(context)() - RESERVE)
        return adapter(event, context)

    return box.traced(function)


handler = sandbox.entry(make)
