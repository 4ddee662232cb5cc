"""`POST /attempts/settle`: attempts end, each for itself, in a call that may come twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from unlost.access.caller import Caller
from unlost.access.keys import KeyScope
from unlost.api.answers import rendering
from unlost.api.calls.attempts.pulls import Pulls
from unlost.api.calls.submitting.timeouts import Timeouts
from unlost.api.frame import Frame
from unlost.api.http.admission import need, need_type
from unlost.api.openapi.schemas.attempts import SettledAttemptsBody, SettledBody
from unlost.api.problems import NotFound, Problem
from unlost.api.request import attempts as reading
from unlost.api.request import bodies
from unlost.api.request.caller import caller_of
from unlost.asked.members import WrongMembers
from unlost.handlers.follow_ups import secret_of
from unlost.ledger.values import Part, Settlement
from unlost.pull.outcomes import ended
from unlost.pull.tokens import Seal, Ticket
from unlost.task import SECOND, TRANSITIONS, Attempt, Micros, Outcome, State
from unlost.worker.attempt import NOT_JSON, TOO_LARGE
from unlost.worker.effects.follow_ups import CONFLICT, settle

QUICK: Final = 256 * 1024
"""Bytes that are read so quickly that others need no turn meanwhile."""

AT_ONCE: Final = 4 * 1024 * 1024
"""About how many bytes of results and of tasks that follow one step of the ledger brings."""

REFUSED_SUCCESSES: Final = frozenset({TOO_LARGE, NOT_JSON, CONFLICT})
"""Types of the errors of attempts that were told as `succeeded`."""

ENDED: Final = "the attempt has ended otherwise"
LATE: Final = "the attempt's time is over"


class _Item(msgspec.Struct, frozen=True, gc=False):
    """An attempt to settle: its place, its token and what that says, and its end."""

    place: int
    token: str
    ticket: Ticket
    end: Settlement


class Settling:
    """Settles attempts for workers that claim by the API."""

    def __init__(self, pulls: Pulls, clock: Callable[[], Micros], frame: Frame) -> None:
        self._pulls = pulls
        self._ledger = pulls.ledger
        self._clock = clock
        self._frame = frame
        self._timeouts = Timeouts(pulls.ledger, frame.longest_timeout)

    async def settle(self, request: Request) -> Response:
        """Settle attempts, each only while it runs, and say of each what became of it."""
        raw = await bodies.read_json(request.scope, request.receive, self._frame.batch_bytes)
        large = len(raw) > QUICK
        read = reading.settlements
        sent = await asyncio.to_thread(read, raw) if large else read(raw)
        results: list[SettledBody | None] = [None] * len(sent)
        items = await self._read(sent, results, caller_of(request.scope))
        for batch in _batches(items):
            await self._settle(batch, results)
        return rendering.answer(SettledAttemptsBody([one for one in results if one is not None]))

    async def _read(
        self,
        sent: Sequence[reading.Item],
        results: list[SettledBody | None],
        caller: Caller,
    ) -> list[_Item]:
        """The good ones; what is wrong with the others goes into `results`."""
        seal, items = await self._pulls.seal(), []
        for place, item in enumerate(sent):
            try:
                items.append(await self._item(place, item, seal, caller))
            except WrongMembers as wrong:
                results[place] = SettledBody(item.token, 422, detail=str(wrong))
            except Problem as problem:
                results[place] = SettledBody(item.token, problem.status, detail=problem.detail)
        return items

    async def _item(self, place: int, item: reading.Item, seal: Seal, caller: Caller) -> _Item:
        """Raises WrongMembers, Problem."""
        ticket = None if item.token is None else seal.ticket(item.token)
        if ticket is not None:
            ticket = await self._pulls.whole(ticket)
        if ticket is not None:
            need_type(caller, ticket.type)
        secret = "" if ticket is None else secret_of(ticket.task_id, ticket.token)
        asked = reading.asked(item, secret, self._frame.rules)
        if item.token is None or ticket is None:
            raise NotFound("no attempt has this token")
        if asked.submit:
            need(caller, KeyScope.SUBMIT)
            for new in asked.submit:
                need_type(caller, new.type)
            if await self._timeouts.refused(asked.submit):
                raise self._timeouts.refusal
        end = self._pulls.concluding.settlement(ticket.claimed, ended(asked))
        return _Item(place, item.token, ticket, end)

    async def _settle(self, batch: Sequence[_Item], results: list[SettledBody | None]) -> None:
        standing = await self._ledger.standing(
            {one.ticket.token: one.ticket.task_id for one in batch}
        )
        running = [one for one in batch if one.ticket.token in standing]
        held = await settle(self._ledger, [one.end for one in running]) if running else []
        now = self._clock()
        done = dict(zip((one.place for one in running), held, strict=True))
        for one in batch:
            end = done.get(one.place)
            if end is None:
                results[one.place] = await self._before(one)
                continue
            seconds = (now - one.ticket.started_at) / SECOND
            self._pulls.recorder.settled(one.ticket.type, end, seconds)
            results[one.place] = _told(one, end, TRANSITIONS[State.RUNNING, end.event])

    async def _before(self, one: _Item) -> SettledBody:
        """What is said of an attempt that runs no more, or not for this worker: whether it has
        ended so already."""
        record = await self._ledger.get(one.ticket.task_id, (Part.ATTEMPTS,))
        if record is None:
            return SettledBody(one.token, 404, detail="its task is not there")
        numbered = (end for end in record.attempts if end.number == one.ticket.number)
        before = next(numbered, None)
        if before is None or before.outcome is None:
            detail = ENDED if before is None else LATE
            return SettledBody(one.token, 409, record.state, detail)
        possible = [one.end, *(follow_up.conflict for follow_up in one.end.submit)]
        for end in possible:
            if _is(before, end):
                return _told(one, end, record.state)
        return SettledBody(one.token, 409, record.state, ENDED)


def _is(before: Attempt, end: Settlement) -> bool:
    """Whether an attempt has ended so.  What is kept of an error tells successes that were refused
    from failures, of which a client may tell otherwise when it tells of them again."""
    if before.outcome is not end.outcome or end.outcome is not Outcome.FAILED:
        return before.outcome is end.outcome
    kept = None if before.error is None else before.error.type
    told = None if end.error is None else end.error.type
    return kept == told or not {kept, told} & REFUSED_SUCCESSES


def _told(one: _Item, end: Settlement, state: State) -> SettledBody:
    """What is said of an attempt that has ended so, its task being in this state."""
    if end.error is None or end is one.end or one.end.outcome is Outcome.FAILED:
        return SettledBody(one.token, 200, state)
    return SettledBody(one.token, 422, state, end.error.message)  # a follow-up's conflict


def _batches(items: Sequence[_Item]) -> Iterator[list[_Item]]:
    """In order, as many in one step as are of about `AT_ONCE` bytes."""
    batch: list[_Item] = []
    room = AT_ONCE
    for one in items:
        batch.append(one)
        room -= len(one.end.result or "")
        room -= sum(len(follow_up.submission.payload) for follow_up in one.end.submit)
        if room <= 0:
            yield batch
            batch, room = [], AT_ONCE
    if batch:
        yield batch
