"""The endpoints below `/redrives`, and the redrive of many that is answered once it has begun."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final
from urllib.parse import quote

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from unlost.access.caller import Caller
from unlost.access.keys import KeyScope
from unlost.api.answers import rendering
from unlost.api.answers.redrives import redrive_body
from unlost.api.calls.acted import acted
from unlost.api.frame import OWN, Frame
from unlost.api.http.admission import need
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operation import Operation
from unlost.api.openapi.operations import dead_letters
from unlost.api.openapi.operations import redrives as op
from unlost.api.openapi.schemas.dead_letters import RedrivenBody
from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.openapi.schemas.redrives import RedrivesBody
from unlost.api.problems import NotFound, OtherCall, invalid, pointer
from unlost.api.request import bodies, forgetting, members, query, redrives, submission
from unlost.api.request.acts import read_act
from unlost.api.request.caller import caller_of
from unlost.api.request.redrives import Asked
from unlost.ledger.protocol import BadCursor, Ledger, LedgerUnavailable
from unlost.ledger.values import Part, RedriveQuery
from unlost.redrive import GOING, Redrive
from unlost.task import WEBHOOK_TYPE, Micros, State

BODY_LIMIT: Final = 4 * 1024 * 1024

PATIENCE: Final = 2.0
"""Seconds after which a redrive of many is answered, though it has not taken all."""

LOOK_EVERY: Final = 0.05
"""Seconds until the next step where one found nothing to take."""

_CURSOR: Final = re.compile(r"([0-9]{1,18})-([A-Za-z0-9._:-]{1,200})")


class Redrives:
    """What is done for calls about redrives; `root` is the path in front of all links."""

    def __init__(self, ledger: Ledger, frame: Frame = OWN, root: str = "") -> None:
        self._ledger = ledger
        self._frame = frame
        self._check_id = frame.name(members.path_id)
        self._root = root

    def routes(self) -> list[Route]:
        """What leads here."""
        return [
            Route(op.BEGIN, responding(self.begin)),
            Route(op.REDRIVES, responding(self.list)),
            Route(op.REDRIVE, responding(self.get)),
            Route(op.STOP, responding(self.stop)),
            Route(dead_letters.REDRIVE_MANY, responding(self.redrive_many)),
        ]

    async def begin(self, request: Request) -> Response:
        """Begin a redrive; the same again is the same one."""
        raw = await bodies.read_json(request.scope, request.receive, BODY_LIMIT)
        caller = caller_of(request.scope)
        asked = await asyncio.to_thread(redrives.read, raw, caller, self._check_id)
        if asked.named.payload is not None:
            need(caller, KeyScope.SUBMIT)
            asked = await self._edited(asked, caller)
        redrive, fresh = await self._begun(asked)
        if not fresh:
            return rendering.answer(redrive_body(redrive))
        self._told(op.BEGIN, caller, redrive, [redrive.id])
        with suppress(LedgerUnavailable):  # it has begun, and goes on
            for _ in range(2):  # one to count, one to take
                redrive = await self._ledger.step_redrive(redrive.id)
        link = f"{self._root}/redrives/{quote(redrive.id, safe=':')}"
        return rendering.answer(redrive_body(redrive), 201, {"Location": link})

    async def list(self, request: Request) -> Response:
        """A page of redrives; of those that can be about other types nothing is told."""
        asked = query.read(request.scope["query_string"], op.REDRIVES.query)
        after = None if asked["cursor"] is None else _after(asked["cursor"])
        wanted = RedriveQuery(asked["state"], asked["limit"], after)
        page, more = await self._page(wanted, caller_of(request.scope).types)
        cursor = f"{page[-1].started_at}-{page[-1].id}" if more else None
        return rendering.answer(RedrivesBody([redrive_body(one) for one in page], cursor))

    async def _page(
        self, wanted: RedriveQuery, types: Sequence[str] | None
    ) -> tuple[Sequence[Redrive], bool]:
        """The next redrives that can be about these types alone, and whether there are more."""
        page: list[Redrive] = []
        after = wanted.after
        # One more than a page has is looked for, so that its end is known.
        while found := await self._ledger.list_redrives(
            replace(wanted, limit=wanted.limit + 1, after=after)
        ):
            for one in found:
                if not one.within(types):
                    continue
                if len(page) == wanted.limit:
                    return page, True
                page.append(one)
            if len(found) <= wanted.limit:
                break
            after = (found[-1].started_at, found[-1].id)
        return page, False

    async def get(self, request: Request) -> Response:
        """One redrive as it is now."""
        return rendering.answer(redrive_body(await self._found(request)))

    async def stop(self, request: Request) -> Response:
        """Let a redrive take nothing more; where that is so already, it says the same."""
        redrive = await self._found(request)
        asked = await read_act(request, op.STOP)
        asked.body.finish()
        if redrive.state in GOING:
            why = _why(asked.by, asked.reason)
            redrive = await self._ledger.stop_redrive(redrive.id, why)
            acted(op.STOP, caller_of(request.scope), [redrive.id], asked.by, asked.reason)
            with suppress(LedgerUnavailable):  # what it has left is counted later, then
                redrive = await self._ledger.step_redrive(redrive.id)
        return rendering.answer(redrive_body(redrive))

    async def redrive_many(self, request: Request) -> Response:
        """Redrive those that the body selects: answered once all are taken, or after a while."""
        raw = await bodies.read_json(request.scope, request.receive, BODY_LIMIT)
        caller = caller_of(request.scope)
        asked = await asyncio.to_thread(redrives.read_many, raw, caller, self._check_id)
        redrive, fresh = await self._begun(asked)
        if fresh:
            redrive = await self._taken(redrive)
            self._told(
                dead_letters.REDRIVE_MANY, caller, redrive, asked.named.task_ids or (),
                redriven=redrive.redriven, redrive=redrive.id,
            )  # fmt: skip
        body = RedrivenBody(redrive.redriven, more=False, redrive=redrive.id)
        return rendering.answer(body, 202 if fresh else 200)

    async def _begun(self, asked: Asked) -> tuple[Redrive, bool]:
        """The redrive, and whether it is new.  Raises OtherCall."""
        new = asked.redrive
        redrive, fresh = await self._ledger.add_redrive(new, asked.named)
        if redrive.digest != new.digest:
            raise OtherCall("a redrive with this id was asked for with another body")
        return redrive, fresh

    async def _taken(self, redrive: Redrive) -> Redrive:
        """The redrive once it has taken all, or after `PATIENCE`."""
        until = monotonic() + PATIENCE
        with suppress(LedgerUnavailable):  # it has begun, and goes on
            while redrive.state in GOING and redrive.left != 0 and monotonic() < until:
                before, redrive = redrive, await self._ledger.step_redrive(redrive.id)
                if redrive == before:
                    await asyncio.sleep(LOOK_EVERY)
        return redrive

    async def _found(self, request: Request) -> Redrive:
        """The redrive in the path, if it is there for the caller.  Raises NotFound."""
        redrive = await self._ledger.get_redrive(redrives.redrive_id_of(request))
        if redrive is None or not redrive.within(caller_of(request.scope).types):
            raise NotFound(redrives.UNKNOWN)
        return redrive

    async def _edited(self, asked: Asked, caller: Caller) -> Asked:
        """With the values of the one payload for the masks that stand for them in the new one.
        Nothing is told of a task that is not there for the caller.  Raises Invalid."""
        ids, payload = asked.named.task_ids, asked.named.payload
        record = await self._ledger.get(ids[0], (Part.PAYLOAD,)) if ids else None
        if record is None or payload is None or not caller.sees(record.type):
            return asked
        if record.type == WEBHOOK_TYPE:
            raise invalid([FieldError("of a webhook cannot be replaced", pointer("payload"))])
        if record.state is State.DEAD:
            await self._check_said(asked, record.task_id)
        if record.payload is not None:
            payload = self._frame.redaction.restore(payload, record.payload)
            submission.check_size(payload.encode())
        return replace(asked, named=replace(asked.named, payload=payload))

    async def _check_said(self, asked: Asked, task_id: str) -> None:
        """Raise Invalid where this letter gets another payload, and its steps are not spoken of; a
        redrive that has begun already was looked at.  What changes before it takes the letter stops
        it (see `redrive.UNSAID`)."""
        unsaid = asked.named.forget_unsaid
        if not unsaid or await self._ledger.get_redrive(asked.redrive.id) is not None:
            return
        steps = await self._ledger.steps_of(task_id)
        if any(step.stands for step in steps):
            raise forgetting.not_said()

    @staticmethod
    def _told(
        operation: Operation,
        caller: Caller,
        about: Redrive,
        ids: Collection[str],
        **more: object,
    ) -> None:
        chosen = {"fingerprint": about.fingerprint, "type": about.type}
        acted(operation, caller, ids, about.by, about.reason, **chosen, **more)


def _why(by: str | None, reason: str | None) -> str:
    """Why a redrive stops that somebody stops."""
    who = f"stopped by {by}" if by else "stopped"
    return f"{who}: {reason}" if reason else who


def _after(cursor: str) -> tuple[Micros, str]:
    """Where a list goes on.  Raises BadCursor."""
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise BadCursor(cursor)
    return int(parts[1]), parts[2]
