"""The endpoints below `/types`."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from unlost.api.answers import rendering
from unlost.api.answers import types as answers
from unlost.api.calls.acted import acted
from unlost.api.frame import OWN, Frame
from unlost.api.http.admission import need_type
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import types as op
from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.problems import InvalidQuery, NotFound, summary
from unlost.api.request import bodies, submission
from unlost.api.request.acts import ACT_LIMIT, read_act
from unlost.api.request.caller import caller_of
from unlost.api.request.members import Members
from unlost.asked import checks, names
from unlost.ledger.protocol import Ledger
from unlost.task import Micros


class Types:
    """What people set for types of tasks.  `clock` is the time of day."""

    def __init__(self, ledger: Ledger, clock: Callable[[], Micros], frame: Frame = OWN) -> None:
        self._ledger = ledger
        check = checks.type_name
        self._legible = names.legible(check) if frame.decoded_paths else check
        self._types = answers.Types(ledger, clock)

    def routes(self) -> list[Route]:
        """What leads here."""
        return [
            Route(op.TYPES, responding(self.list)),
            Route(op.PAUSE, responding(self.pause)),
            Route(op.RESUME, responding(self.resume)),
            Route(op.CHANGE, responding(self.change)),
        ]

    async def list(self, request: Request) -> Response:
        """The types for which something is set."""
        return rendering.answer(await self._types.listed(caller_of(request.scope)))

    async def pause(self, request: Request) -> Response:
        """Let no task of a type start; a pause that is there stays."""
        name = self._type_of(request)
        asked = await read_act(request, op.PAUSE)
        asked.body.finish()
        await self._ledger.pause(name, asked.by, asked.reason)
        acted(op.PAUSE, caller_of(request.scope), [name], asked.by, asked.reason)
        return rendering.answer(await self._types.one(name))

    async def resume(self, request: Request) -> Response:
        """Let tasks of a type start again."""
        name = self._type_of(request)
        asked = await read_act(request, op.RESUME)
        asked.body.finish()
        await self._ledger.resume(name)
        acted(op.RESUME, caller_of(request.scope), [name], asked.by, asked.reason)
        return rendering.answer(await self._types.one(name))

    async def change(self, request: Request) -> Response:
        """Set or remove limits, rates and a breaker."""
        name = self._type_of(request)
        raw = await bodies.read_json(request.scope, request.receive, ACT_LIMIT)
        change = answers.read_change(name, Members(submission.parse(raw)))
        await self._ledger.change(name, change)
        acted(op.CHANGE, caller_of(request.scope), [name])
        return rendering.answer(await self._types.one(name))

    def _type_of(self, request: Request) -> str:
        """The type in the path.  Raises NotFound for one that no task can have, Forbidden for one
        that the caller is not for, InvalidQuery for one that no task may have here."""
        try:
            name = checks.type_name(request.path_params["type"])
        except checks.Wrong:
            raise NotFound("no task has this type") from None
        need_type(caller_of(request.scope), name)
        try:
            return self._legible(name)
        except checks.Wrong as wrong:
            fault = FieldError(str(wrong), parameter="type")
            raise InvalidQuery(summary([fault]), errors=[fault]) from None
