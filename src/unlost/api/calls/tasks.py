"""Submitting a task, showing it, listing tasks, and cancelling one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from unlost.api.answers import rendering
from unlost.api.calls.events import leaving
from unlost.api.calls.intake import Intake
from unlost.api.calls.watching import Watch
from unlost.api.frame import OWN, Frame
from unlost.api.http.endpoints import responding, traced
from unlost.api.http.routing import Route
from unlost.api.openapi.operation import Operation
from unlost.api.openapi.operations import dead_letters
from unlost.api.openapi.operations import tasks as op
from unlost.api.openapi.schemas.tasks import ItemBody
from unlost.api.problems import Conflict, NotFound
from unlost.api.request import bodies, query, submission
from unlost.api.request.acts import read_act, task_id_of
from unlost.api.request.bodies import ClientGone
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Order, Part, Query, Verdict
from unlost.measuring import Recorder
from unlost.task import TERMINAL, Outcome, Record
from unlost.tracing import Tracing

CONFLICT: Final = "a task with this id, but another payload or other options, was submitted before"

STEP: Final = 50
"""Tasks with big members that are read at once."""

_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
_PARTS: Final = {
    "payload": Part.PAYLOAD,
    "result": Part.RESULT,
    "attempts": Part.ATTEMPTS,
    "traceback": Part.ATTEMPTS,
}


class Tasks:
    """The endpoints below `/tasks`, but for batches.

    `max_retries` is what the service gives a task that names none.
    """

    def __init__(
        self,
        ledger: Ledger,
        intake: Intake,
        watch: Watch,
        recorder: Recorder,
        max_retries: int,
        frame: Frame = OWN,
    ) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._intake = intake
        self._watch = watch
        self._max_retries = max_retries
        self._frame = frame

    def routes(self, tracing: Tracing) -> list[Route]:
        """What leads here; `tracing` is told of submits."""
        return [
            Route(op.SUBMIT, traced(self.submit, tracing)),
            Route(op.LIST, responding(self.list)),
            Route(op.SHOW, responding(self.show)),
            Route(op.CANCEL, responding(self.cancel)),
            Route(dead_letters.DEAD_LETTERS, responding(self.list_dead)),
        ]

    async def submit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The call that matters most for speed: no request or response object is made."""
        body = await bodies.read_json(scope, receive, submission.BODY_LIMIT)
        new = self._frame.read(body)
        [stored] = await self._intake.store([new])
        if stored.verdict is Verdict.CONFLICT:
            raise Conflict(CONFLICT)
        if stored.verdict is Verdict.REPLAYED:
            shown = rendering.task(await self._found(new.task_id), self._max_retries)
            replay = rendering.answer(shown, headers={"Idempotent-Replayed": "true"})
            await replay(scope, receive, send)
            return
        answer = rendering.fresh(new, stored, self._max_retries)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer)),
            (b"location", location(new.task_id)),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def show(self, request: Request) -> Response:
        """The task, once it has come to its end if the caller waits for that."""
        asked = query.read(request.scope["query_string"], op.SHOW.query)
        seconds = min(asked["wait"], self._frame.longest_wait)
        task_id = task_id_of(request)
        record = await self._found(task_id)
        if seconds and record.state not in TERMINAL:
            async with leaving(request.receive) as gone:
                await self._watch.until_terminal(task_id, seconds, gone)
                if gone.done():
                    raise ClientGone
            record = await self._found(task_id)
        return rendering.answer(rendering.task(record, self._max_retries))

    async def list(self, request: Request) -> Response:
        """A page of all tasks, newest first."""
        return await self._page(request, Order.SUBMITTED, op.LIST)

    async def list_dead(self, request: Request) -> Response:
        """A page of the dead letters, the last to die first."""
        return await self._page(request, Order.DIED, dead_letters.DEAD_LETTERS)

    async def _page(self, request: Request, order: Order, operation: Operation) -> Response:
        asked = query.read(request.scope["query_string"], operation.query)
        include = asked["include"]
        wanted = Query(
            order=order,
            state=asked.get("state"),
            type=asked["type"],
            id_prefix=asked.get("idPrefix", ""),
            since=asked.get("since"),
            until=asked.get("until"),
            error=asked.get("error"),
            limit=asked["limit"],
            cursor=asked["cursor"],
            parts=frozenset(_PARTS[name] for name in include),
        )
        items, cursor = await self._collect(wanted, include)
        return rendering.answer({"tasks": items, "nextCursor": cursor})

    async def _collect(
        self, wanted: Query, include: frozenset[str]
    ) -> tuple[Sequence[ItemBody], str | None]:
        """The page's items, and where the next one begins.

        With big members it is read step by step.  It ends early where more would not fit.
        """
        items: list[ItemBody] = []
        cursor, room = wanted.cursor, self._frame.page_bytes
        step = STEP if wanted.parts else wanted.limit
        while True:
            step = min(step, wanted.limit - len(items))
            page = await self._ledger.page(replace(wanted, limit=step, cursor=cursor))
            some = [rendering.item(record, include, self._max_retries) for record in page.records]
            size = sum(map(_size, some))
            if size > room and len(some) > 1 and not items:
                step = len(some) // 2  # these again, but fewer
                continue
            if size > room and items:
                return items, cursor
            items += some
            cursor, room = page.next_cursor, room - size
            whole = len(items) == wanted.limit or len(some) < step
            if whole or cursor is None or size > room:  # the next step would be as large
                return items, cursor

    async def cancel(self, request: Request) -> Response:
        """Cancel the task and show it."""
        task_id = task_id_of(request)
        act = await read_act(request, op.CANCEL)
        act.body.finish()
        await self._ledger.cancel(task_id, act.by, act.reason)
        record = await self._found(task_id)
        if record.attempts and record.attempts[-1].outcome is Outcome.CANCELLED:
            self._recorder.cancelled(record.type)
        return rendering.answer(rendering.task(record, self._max_retries))

    async def _found(self, task_id: str) -> Record:
        record = await self._ledger.get(task_id)
        if record is None:
            raise NotFound("no task has this id")
        return record


def _size(item: ItemBody) -> int:
    """Bytes of an item as JSON that is quoted in JSON."""
    return len(rendering.encode(rendering.encode(item).decode()))


def location(task_id: str) -> bytes:
    """The path of a task."""
    if not _PLAIN.fullmatch(task_id):
        task_id = quote(task_id, safe="")
    return b"/tasks/" + task_id.encode()
