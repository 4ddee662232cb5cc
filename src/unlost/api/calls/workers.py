"""The endpoint of `/workers`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from unlost.api.answers import rendering
from unlost.api.answers.workers import workers
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import workers as op
from unlost.api.request.caller import caller_of
from unlost.ledger.protocol import Ledger


class Workers:
    """The endpoint that shows who works."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def routes(self) -> list[Route]:
        """What leads here."""
        return [Route(op.WORKERS, responding(self.list))]

    async def list(self, request: Request) -> Response:
        """The workers."""
        return rendering.answer(await workers(self._ledger, caller_of(request.scope)))
