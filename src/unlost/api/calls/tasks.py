"""Submitting a task, showing it, and cancelling it."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from functools import partial
from time import perf_counter
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from unlost.access.caller import Caller
from unlost.api.answers import rendering
from unlost.api.answers.large import REPLAYED, Large
from unlost.api.answers.one_task import OneTask
from unlost.api.answers.turns import Turns
from unlost.api.answers.waits import explained
from unlost.api.calls.acted import acted
from unlost.api.calls.submitting.backlog import full
from unlost.api.calls.submitting.intake import Intake
from unlost.api.calls.submitting.promptly import Promptly
from unlost.api.calls.watching.watch import Watch
from unlost.api.frame import OWN, Frame
from unlost.api.http.admission import need_type
from unlost.api.http.endpoints import responding, traced
from unlost.api.http.heads import EXTENSION, Again, Client, Outcome, Whole
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import tasks as op
from unlost.api.problems import Conflict, Problem
from unlost.api.request import bodies, query, submission
from unlost.api.request.acts import read_act, task_id_of
from unlost.api.request.caller import caller_of
from unlost.api.request.leaving import ClientGone, leaving
from unlost.ledger.protocol import Ledger, LedgerUnavailable, Refused
from unlost.ledger.values import Submitted, Verdict
from unlost.schedule.schedule import owner
from unlost.task import TERMINAL, Record, State, Submission
from unlost.task import Outcome as Ended
from unlost.telemetry.measuring import Recorder
from unlost.tracing import Tracing

CONFLICT: Final = "a task with this id, but another payload or other options, was submitted before"

RESERVED: Final = "this id is one that a schedule gives to its own tasks"


def conflict_of(task_id: str) -> str:
    """What is said of an id that is not free; the same whether a schedule is why or a task, since
    the caller may not be one who sees it."""
    return CONFLICT if owner(task_id) is None else f"{CONFLICT}, or {RESERVED}"


Still = Callable[[Caller], bool]
"""Tells whether a caller may go on as before, as far as that is known without asking."""

_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")


class Tasks:
    """The endpoints below `/tasks`, but for batches and lists.

    `max_retries` is what the service gives a task that names none, `root` the path below which it
    is shown.
    """

    def __init__(
        self,
        ledger: Ledger,
        intake: Intake,
        watch: Watch,
        recorder: Recorder,
        turns: Turns,
        max_retries: int,
        frame: Frame = OWN,
        root: str = "",
    ) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._intake = intake
        self._watch = watch
        self._task = OneTask(ledger, turns, max_retries, frame.redaction)
        self._max_retries = max_retries
        self._frame = frame
        self._root = root.encode()
        self._still: Still | None = None

    def routes(self, tracing: Tracing, still: Still | None) -> list[Route]:
        """What leads here; `tracing` is told of submits.  `still` is given where nothing before
        their bodies makes one submit different from another with the same head, but whether their
        caller may still make it."""
        self._still = still
        return [
            Route(op.SUBMIT, traced(self.submit, tracing)),
            Route(op.SHOW, responding(self.show)),
            Route(op.WHY, responding(self.why)),
            Route(op.CANCEL, responding(self.cancel)),
        ]

    async def submit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The call that matters most for speed: no request or response object is made, and one
        with the head of another is done by `_submit_again`."""
        caller = caller_of(scope)
        again: Again | None = scope.get("extensions", {}).get(EXTENSION)
        done = None if again is None else again.outcome
        if done is None:
            self._intake.pace.check(caller)
        body = await bodies.read_json(scope, receive, submission.BODY_LIMIT)
        new = self._frame.read(body, caller.name)
        del body  # which would be held beside its payload until that is stored
        need_type(caller, new.type)
        if isinstance(done, Exception):
            raise done
        stored = done if isinstance(done, Submitted) else await self._store(new)
        if stored.verdict is Verdict.CONFLICT:
            raise Conflict(conflict_of(new.task_id))
        if stored.verdict is Verdict.REPLAYED:
            found = partial(self._task.found, new.task_id, caller)
            replay = self._task.answer(caller, found, headers=REPLAYED)
            await replay(scope, receive, send)
            return
        if again is not None and self._still is not None and not scope["query_string"]:
            again.remember(partial(self._submit_again, caller))
        answer = self._fresh(new, stored)
        headers = self._headers(new.task_id, answer)
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _store(self, new: Submission) -> Submitted:
        """Store it.  Raises Invalid where it may not ask for such a timeout, and BacklogFull where
        there is no room for one that is new."""
        if new.timeout is not None and await self._intake.timeouts.refused([new]):
            raise self._intake.timeouts.refusal
        if await self._intake.backlog.refused([new]):
            raise full()
        [stored] = await self._intake.store([new])
        return stored

    def _fresh(self, new: Submission, stored: Submitted) -> bytes:
        shown = self._frame.redaction.shown(new)
        return rendering.fresh(shown, stored, self._max_retries)

    def _submit_again(
        self, caller: Caller, body: bytes, client: Client
    ) -> Coroutine[Any, Any, Outcome] | bool:
        """Submit, as the same caller as before, if their key still holds; that it does not, or what
        else is wrong, is found out the regular way."""
        try:
            new = self._frame.read(body, caller.name)
        except Problem:
            return False
        if self._still is None or not (caller.sees(new.type) and self._still(caller)):
            return False
        if not self._intake.pace.take(caller):
            return False
        began = perf_counter()
        answer = partial(self._whole, new)
        try:
            if self._intake.begin(new, Promptly(client, answer, partial(self._ended, began))):
                return True
        except LedgerUnavailable as error:
            client.done(error)
            return True
        return self._store_again(new, began)

    async def _store_again(self, new: Submission, began: float) -> Outcome:
        try:
            stored = await self._store(new)
        except Exception as error:  # noqa: BLE001 - the regular way raises it
            return error
        if stored.verdict is not Verdict.ACCEPTED:
            return stored
        answer = self._whole(new, stored)
        self._count(began, perf_counter())
        return answer

    def _ended(self, began: float, outcome: Outcome, at: float) -> None:
        self._intake.ended()
        if isinstance(outcome, Whole):
            self._count(began, at)

    def _count(self, began: float, ended: float) -> None:
        self._recorder.answered(op.SUBMIT.name, 202, ended - began)

    def _whole(self, new: Submission, stored: Submitted) -> Whole:
        """The answer to a task that was accepted."""
        answer = self._fresh(new, stored)
        lines = b"".join(b"%b: %b\r\n" % line for line in self._headers(new.task_id, answer))
        return Whole(202, lines, answer)

    def _headers(self, task_id: str, answer: bytes) -> list[tuple[bytes, bytes]]:
        return [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer)),
            (b"location", self._root + location(task_id)),
            (b"x-content-type-options", b"nosniff"),
        ]

    async def show(self, request: Request) -> Large:
        """The task, once it has come to its end if the caller waits for that."""
        asked = query.read(request.scope["query_string"], op.SHOW.query)
        seconds = min(asked["wait"], self._frame.longest_wait)
        task_id, caller = task_id_of(request), caller_of(request.scope)
        if seconds and (await self._task.readable(task_id, caller, ())).state not in TERMINAL:
            async with leaving(request.receive) as gone:
                await self._watch.until_terminal(task_id, seconds, gone, caller.name)
                if gone.done():
                    raise ClientGone
        results = "steps" in asked["include"]
        detailed = partial(self._task.detailed, task_id, caller, results=results)
        return self._task.answer(caller, detailed)

    async def why(self, request: Request) -> Response:
        """Why the task is not running now."""
        facts = await self._task.waits(task_id_of(request), caller_of(request.scope))
        return rendering.answer(explained(facts))

    async def cancel(self, request: Request) -> Large:
        """Cancel the task and show it, also if it is cancelled already: a call may come twice."""
        task_id, caller = task_id_of(request), caller_of(request.scope)
        act = await read_act(request, op.CANCEL)
        act.body.finish()

        async def cancelled() -> Record:
            await self._task.reached(task_id, caller)
            try:
                await self._ledger.cancel(task_id, act.by, act.reason, api_key=caller.name)
            except Refused as refused:
                if refused.state is not State.CANCELLED:
                    raise
                return await self._task.found(task_id, caller)
            acted(op.CANCEL, caller, [task_id], act.by, act.reason)
            record = await self._task.found(task_id, caller)
            if record.attempts and record.attempts[-1].outcome is Ended.CANCELLED:
                self._recorder.cancelled(record.type)
            return record

        return self._task.answer(caller, cancelled)


def location(task_id: str) -> bytes:
    """The path of a task."""
    if not _PLAIN.fullmatch(task_id):
        task_id = quote(task_id, safe="")
    return b"/tasks/" + task_id.encode()
