"""What endpoints have in common: a request in, a response out, and a trace where tracing is on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from unlost.tracing import OFF, Tracing

Endpoint = Callable[[Request], Awaitable[ASGIApp]]


def responding(endpoint: Endpoint) -> ASGIApp:
    """An endpoint that gives a response (or anything else that answers), as an ASGI app."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

    return app


def traced(endpoint: ASGIApp, tracing: Tracing, *, batch: bool = False) -> ASGIApp:
    """An endpoint whose requests are submits, told of where tracing is on."""
    if tracing is OFF:
        return endpoint

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with tracing.submit(scope["headers"], batch=batch):
            await endpoint(scope, receive, send)

    return app
