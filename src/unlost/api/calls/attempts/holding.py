"""`POST /workers/{worker}/extend` and `POST /attempts/steps`: while attempts run."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from unlost.access.caller import Caller
from unlost.api.answers import rendering
from unlost.api.calls.attempts.claiming import NOT_YOURS
from unlost.api.calls.attempts.pulls import Pulls
from unlost.api.http.admission import need_type
from unlost.api.openapi.schemas.attempts import GoneAttemptsBody, GoneBody, RecordedBody
from unlost.api.problems import AnotherResult, AttemptEnded, Forbidden, LeaseEnded, NotFound
from unlost.api.request import attempts as reading
from unlost.api.request import bodies
from unlost.api.request.caller import caller_of
from unlost.asked import checks
from unlost.effects import Recorded
from unlost.ledger.protocol import AnothersWorker, LeaseOver
from unlost.ledger.values import NewStep
from unlost.pull.tokens import Ticket
from unlost.task import State

EXTEND_LIMIT: Final = 8 * 1024 * 1024
STEP_LIMIT: Final = 8 * 1024 * 1024
UNKNOWN: Final = "unknown"


class Holding:
    """What workers say of attempts that they run."""

    def __init__(self, pulls: Pulls) -> None:
        self._pulls = pulls
        self._ledger = pulls.ledger

    async def extend(self, request: Request) -> Response:
        """Prolong a worker's lease, and name what of its attempts runs no more."""
        try:
            worker = reading.worker(request.path_params["worker"])
        except checks.Wrong:
            raise NotFound("no worker has this name") from None
        raw = await bodies.read_json(request.scope, request.receive, EXTEND_LIMIT)
        lease, tokens = reading.extension(raw)
        try:
            await self._ledger.prolong(worker, caller_of(request.scope).name or "", lease)
        except AnothersWorker:
            raise Forbidden(NOT_YOURS) from None
        except LeaseOver:
            told = "what it held is lost; claim under a new name"
            raise LeaseEnded(f"the lease of this worker is over: {told}") from None
        return rendering.answer(
            GoneAttemptsBody(await self._gone(worker, tokens, caller_of(request.scope)))
        )

    async def _gone(self, worker: str, tokens: list[str], caller: Caller) -> list[GoneBody]:
        """Those that run no more.  What runs for another worker is unknown: that has its lease."""
        seal = await self._pulls.seal()
        tickets = [seal.ticket(token) for token in tokens]
        asked = {one.token: one.task_id for one in tickets if one is not None}
        standing = await self._ledger.standing(asked) if asked else {}
        gone = []
        for token, ticket in zip(tokens, tickets, strict=True):
            if ticket is None or standing.get(ticket.token, worker) != worker:
                gone.append(GoneBody(token, UNKNOWN))
            elif ticket.token not in standing:
                whole = await self._pulls.whole(ticket)
                mine = whole is not None and caller.sees(whole.type)
                state = await self._state(ticket) if mine else None
                gone.append(GoneBody(token, state or UNKNOWN))
        return gone

    async def _state(self, ticket: Ticket) -> State | None:
        record = await self._ledger.get(ticket.task_id, ())
        return None if record is None else record.state

    async def step(self, request: Request) -> Response:
        """Record a step, only while its attempt runs."""
        raw = await bodies.read_json(request.scope, request.receive, STEP_LIMIT)
        asked = reading.step(raw)
        ticket = (await self._pulls.seal()).ticket(asked.token)
        ticket = None if ticket is None else await self._pulls.whole(ticket)
        if ticket is None:
            raise NotFound("no attempt has this token")
        need_type(caller_of(request.scope), ticket.type)
        verdict = Recorded.NOT_RUNNING
        if await self._ledger.standing({ticket.token: ticket.task_id}):
            new = NewStep(ticket.task_id, ticket.token, asked.name, asked.result)
            verdict = await self._ledger.record_step(new)
        if verdict is Recorded.NOT_RUNNING:
            told = "the attempt runs no more"
            raise AttemptEnded(told, state=await self._state(ticket))
        if verdict is Recorded.ANOTHER:
            told = "another result is recorded under this name"
            raise AnotherResult(told, state=await self._state(ticket))
        return rendering.answer(RecordedBody(verdict is Recorded.KEPT))
