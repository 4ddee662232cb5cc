"""The endpoints below `/types`, and `/workers`."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from unlost.api.answers import rendering
from unlost.api.answers.types import Types, read_change
from unlost.api.answers.workers import workers
from unlost.api.http.endpoints import ACT_LIMIT, read_act
from unlost.api.openapi import type_operations as op
from unlost.api.problems import NotFound
from unlost.api.request import bodies, members, query, submission
from unlost.api.request.members import Members
from unlost.ledger.protocol import Ledger
from unlost.task import Micros


class Controlling:
    """What people look at and set for all workers.  `clock` is the time of day."""

    def __init__(self, ledger: Ledger, clock: Callable[[], Micros]) -> None:
        self._ledger = ledger
        self._types = Types(ledger, clock)

    async def types(self, request: Request) -> Response:
        """The types for which something is set."""
        query.read(request.scope["query_string"], op.TYPES.query)
        return rendering.answer(await self._types.listed())

    async def pause(self, request: Request) -> Response:
        """Pause a type."""
        name = _type_of(request)
        asked = await read_act(request, op.PAUSE)
        asked.body.finish()
        return rendering.answer(await self._types.pause(name, asked.by, asked.reason))

    async def resume(self, request: Request) -> Response:
        """Resume a type."""
        name = _type_of(request)
        return rendering.answer(await self._types.resume(name))

    async def change(self, request: Request) -> Response:
        """Set limits and a breaker."""
        name = _type_of(request)
        raw = await bodies.read_json(request.scope, request.receive, ACT_LIMIT)
        change = read_change(Members(submission.parse(raw)))
        return rendering.answer(await self._types.change(name, change))

    async def workers(self, request: Request) -> Response:
        """The workers."""
        query.read(request.scope["query_string"], op.WORKERS.query)
        return rendering.answer(await workers(self._ledger))


def _type_of(request: Request) -> str:
    """The type in the path.  Raises NotFound for one that no task can have."""
    try:
        return members.type_name(request.path_params["type"])
    except members.Wrong:
        raise NotFound("no task has this type") from None
