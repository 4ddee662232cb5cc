"""Working on dead letters: groups, redrive of one and of many, discard."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from unlost import jsontext
from unlost.access.keys import KeyScope
from unlost.api.answers import rendering
from unlost.api.answers.large import REPLAYED, Large
from unlost.api.answers.one_task import Again, OneTask
from unlost.api.answers.turns import Turns
from unlost.api.calls.acted import acted
from unlost.api.frame import OWN, Frame
from unlost.api.http.admission import need
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import dead_letters as op
from unlost.api.openapi.schemas.dead_letters import (
    GroupBody,
    GroupsBody,
)
from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.problems import invalid, pointer
from unlost.api.request import forgetting, submission
from unlost.api.request.acts import read_act, task_id_of
from unlost.api.request.caller import caller_of
from unlost.asked import checks
from unlost.effects import TooManyForgotten
from unlost.ledger.protocol import Ledger, Refused, Repeated, StepsStand
from unlost.ledger.values import Group, Part
from unlost.task import WEBHOOK_TYPE, Event, Record, State
from unlost.times import rfc3339


class DeadLetters:
    """The endpoints below `/dead-letters`, but for the list."""

    def __init__(self, ledger: Ledger, turns: Turns, max_retries: int, frame: Frame = OWN) -> None:
        self._ledger = ledger
        self._turns = turns
        self._task = OneTask(ledger, turns, max_retries, frame.redaction)
        self._frame = frame

    def routes(self) -> list[Route]:
        """What leads here."""
        return [
            Route(op.GROUPS, responding(self.groups)),
            Route(op.REDRIVE, responding(self.redrive)),
            Route(op.DISCARD, responding(self.discard)),
        ]

    async def groups(self, request: Request) -> Large:
        """Dead letters counted by error; where these are many, with less of each."""
        types = caller_of(request.scope).types

        async def made() -> list[bytes]:
            found = await self._ledger.groups(self._frame.page_bytes // 2, types)
            return [rendering.encode(GroupsBody([_group(group) for group in found]))]

        return Large(self._turns, self._frame.page_bytes, made)

    async def redrive(self, request: Request) -> Large:
        """Redrive one, and show it as that left it, though a worker may have it already."""
        task_id, caller = task_id_of(request), caller_of(request.scope)
        asked = await read_act(request, op.REDRIVE)
        edited = asked.body.optional("payload", checks.json_object, None) is not None
        forget = asked.body.optional("forget", forgetting.names_or_all, None)
        asked.body.finish()
        if edited:
            need(caller, KeyScope.SUBMIT)
        payload = jsontext.compact(submission.read_payload(asked.raw)) if edited else None

        async def redriven() -> Record | Again:
            before = await self._task.found(task_id, caller)
            if edited and before.type == WEBHOOK_TYPE:
                raise invalid([FieldError("of a webhook cannot be replaced", pointer("payload"))])
            new = payload
            if new is not None and before.payload is not None:
                new = self._frame.redaction.restore(new, before.payload)
                submission.check_size(new.encode())
            call = asked.call(Event.REDRIVE)
            try:
                await self._ledger.redrive(
                    task_id, asked.by, asked.reason, new,
                    api_key=caller.name, call=call, forget=forget,
                )  # fmt: skip
            except StepsStand:
                raise forgetting.not_said() from None
            except TooManyForgotten:
                raise forgetting.too_many() from None
            except Repeated:
                return Again(await self._task.found(task_id, caller))
            acted(op.REDRIVE, caller, [task_id], asked.by, asked.reason)
            after = await self._task.found(task_id, caller, (Part.PAYLOAD, Part.HISTORY))
            return _redriven(before, after)

        return self._task.answer(caller, redriven, 202)

    async def discard(self, request: Request) -> Response | Large:
        """Make one cancelled; one that was discarded before stays so: a call may come twice."""
        task_id, caller = task_id_of(request), caller_of(request.scope)
        asked = await read_act(request, op.DISCARD)
        asked.body.finish()
        await self._task.reached(task_id, caller)
        try:
            call = asked.call(Event.DISCARD)
            await self._ledger.discard(
                task_id, asked.by, asked.reason, api_key=caller.name, call=call
            )
        except Repeated:
            found = partial(self._task.found, task_id, caller)
            return self._task.answer(caller, found, headers=REPLAYED)
        except Refused:
            record = await self._task.found(task_id, caller, (Part.HISTORY,))
            if not record.history or record.history[-1].event is not Event.DISCARD:
                raise
        else:
            acted(op.DISCARD, caller, [task_id], asked.by, asked.reason)
        return Response(status_code=204)


def _redriven(before: Record, after: Record) -> Record:
    """The task between its redrive and whatever followed."""
    act = next(act for act in reversed(after.history) if act.event is Event.REDRIVE)
    return replace(
        before,
        state=State.QUEUED,
        payload=after.payload,
        history=(*before.history, act),
        redrive_count=before.redrive_count + 1,
        updated_at=act.at,
        due_at=act.at,
    )


def _group(group: Group) -> GroupBody:
    return GroupBody(
        group.fingerprint,
        group.error_type,
        group.sample,
        group.count,
        rfc3339(group.first_at),
        rfc3339(group.last_at),
    )
