"""`POST /attempts/claim`: attempts for a worker, in a call that may come twice."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Final

from msgspec import UNSET, Raw
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from unlost import carried, effects
from unlost.access.caller import Caller
from unlost.api.answers import rendering
from unlost.api.calls.attempts.awaiting import Awaiting
from unlost.api.calls.attempts.emptying import Emptying
from unlost.api.calls.attempts.pulls import Pulls
from unlost.api.frame import Frame
from unlost.api.http.admission import need_type
from unlost.api.openapi.schemas.attempts import ClaimedBody, StandingStepBody
from unlost.api.problems import RETRY_AFTER, Forbidden, OtherCall, Unavailable
from unlost.api.request import attempts as reading
from unlost.api.request import bodies
from unlost.api.request.attempts import AskedClaim
from unlost.api.request.caller import caller_of
from unlost.api.request.leaving import ClientGone, leaving
from unlost.asked import checks
from unlost.effects import Effects, Step
from unlost.ledger.protocol import AnotherCall, AnothersWorker, LeaseOver
from unlost.ledger.values import Claim, Claimed, Pull, Pulled
from unlost.limits.control import Claimant
from unlost.policy import Limits
from unlost.times import rfc3339
from unlost.worker import attempt

BODY_LIMIT: Final = 512 * 1024

TRIES: Final = 4
"""Of a claim whose worker's lease is over each time, as with other calls of it at once."""

AT_ONCE: Final = 8
"""Attempts whose steps are read together, which may be 1 MiB of each: no more are read once there
is no room for them."""

NOT_YOURS: Final = "this worker is another key's, or one that does not claim by the API"


class Claiming:
    """Claims for workers, as `frame` bounds it; `defaults` are the service's own limits."""

    def __init__(
        self,
        pulls: Pulls,
        awaiting: Awaiting,
        emptying: Emptying,
        defaults: Limits,
        frame: Frame,
        random: Random,
    ) -> None:
        self._pulls = pulls
        self._ledger = pulls.ledger
        self._awaiting = awaiting
        self._emptying = emptying
        self._defaults = defaults
        self._frame = frame
        self._random = random
        self._check_type = frame.name(checks.submitted_type)

    async def claim(self, request: Request) -> ASGIApp:
        """Give attempts, once there are some if the caller waits for that."""
        caller = caller_of(request.scope)
        raw = await bodies.read_json(request.scope, request.receive, BODY_LIMIT)
        asked = reading.claim(raw, self._check_type)
        for name in asked.types:
            need_type(caller, name)
        pulled = await self._begin(asked, caller)
        if not pulled.attempts and asked.wait:
            async with leaving(request.receive) as gone:
                pulled = await self._wait(asked, caller, gone)
        body = await self._body(pulled)
        return Response(body, 200, rendering.NO_SNIFFING, rendering.JSON)

    async def _wait(self, asked: AskedClaim, caller: Caller, gone: asyncio.Future[None]) -> Pulled:
        loop, empty = asyncio.get_running_loop(), 0
        until = loop.time() + min(asked.wait, self._frame.longest_claim)
        pulled = Pulled()
        async with self._awaiting.heard(asked.types, caller.name, gone) as hint:
            while hint is not None and not pulled.attempts:
                due = await self._awaiting.until_due(hint, asked.worker, asked.types, until, empty)
                if gone.done():
                    raise ClientGone
                if not due:
                    break
                try:
                    pulled = await self._pull(asked, caller, waits=True)
                except LeaseOver:  # its process may have stopped: it has to claim by itself
                    break
                empty += 1
        return pulled

    async def _begin(self, asked: AskedClaim, caller: Caller) -> Pulled:
        """Claim; what the worker held beyond its lease is lost before."""
        for _ in range(TRIES):
            try:
                return await self._pull(asked, caller)
            except LeaseOver:
                await self._pulls.lose(asked.worker)
        told = "what this worker held beyond its lease could not be taken from it yet"
        raise Unavailable(told, headers=RETRY_AFTER)

    async def _pull(self, asked: AskedClaim, caller: Caller, *, waits: bool = False) -> Pulled:
        """Claim.  Raises LeaseOver."""
        seal = await self._pulls.seal()
        known_by, prefix = seal.claim(asked.claim, asked.types)
        once = f"{prefix}{self._random.getrandbits(32):08x}"
        tokens = [f"{once}{number:03x}" for number in range(asked.limit)]
        room = self._frame.page_bytes
        claim = Claim(
            asked.worker, tokens, asked.types, self._defaults, claimant=Claimant.PULL, room=room
        )
        empties = await self._emptying.has(asked.worker, asked.types)
        wanted = Pull(claim, caller.name or "", asked.lease, known_by, prefix, waits, empties)
        try:
            pulled = await self._ledger.pull(wanted)
        except AnothersWorker:
            raise Forbidden(NOT_YOURS) from None
        except AnotherCall:
            raise OtherCall("another worker has this claim, or for other types") from None
        if not pulled.again:
            for one in pulled.attempts:
                self._pulls.recorder.started(one)
        return pulled

    async def _body(self, pulled: Pulled) -> bytes:
        """The answer.  What it has no room for is released before, as an earlier call may not have
        come to do.

        Whose attempts have recorded steps was told of them: then there may be less room than there
        was, the rest is released already, and what is left out runs.
        """
        seal, secret = await self._pulls.seal(), await self._pulls.secret()
        parts: list[bytes] = []
        room = self._frame.page_bytes
        told = False
        steps: deque[list[Step]] = deque()
        for number, one in enumerate(pulled.attempts):
            if not steps:
                steps.extend(await self._pulls.steps(pulled.attempts[number : number + AT_ONCE]))
            made = steps.popleft()
            text = rendering.encode(_body(one, seal.token(one), secret, made, alone=pulled.alone))
            room -= self._frame.measured(text) + 1
            told = told or any(step.attempt == one.number for step in made)
            if room < 0 and parts:
                if not told:
                    await self._pulls.settle(pulled.attempts[number:], attempt.RELEASED)
                break
            parts.append(text)
        return b'{"attempts":[' + b",".join(parts) + b"]}"


def _body(
    one: Claimed, token: str, secret: bytes, steps: Sequence[Step], *, alone: bool
) -> ClaimedBody:
    own = one.effects or Effects()
    by = None if one.carried is None else carried.read(one.carried).schedule
    return ClaimedBody(
        token,
        one.task_id,
        one.type,
        Raw(one.payload.encode()),
        one.number,
        one.spent,
        one.max_retries,
        one.redrive_count,
        rfc3339(one.submitted_at),
        one.timeout,
        alone,
        own.key or effects.effect_key(secret, one.task_id, one.submitted_at),
        _steps(steps, own.forgotten) if steps or own.forgotten else [],
        UNSET if one.key is None else one.key,
        UNSET if by is None else rfc3339(by.time),
    )


def _steps(steps: Sequence[Step], forgotten: dict[str, int]) -> list[StandingStepBody]:
    """What stands, and what was forgotten and does not."""
    found = [
        StandingStepBody(
            step.name,
            Raw((step.result or "null").encode()) if step.kept else UNSET,
            UNSET if step.kept else False,
            forgotten.get(step.name, UNSET),
        )
        for step in steps
        if step.stands
    ]
    standing = {step.name for step in found}
    found += [
        StandingStepBody(name, forgotten=count)
        for name, count in forgotten.items()
        if name not in standing
    ]
    return found
