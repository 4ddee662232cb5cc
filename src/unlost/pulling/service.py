"""The calls of a worker to a service, each made once: who makes it decides whether to repeat it."""

from __future__ import annotations

from typing import Final, Protocol, TypeVar

import msgspec

from unlost.client.address import Address
from unlost.client.core.answers import URN, asked_wait, is_passing, problem_of, read
from unlost.client.core.wire import Answer, NoAnswer, Reply, Request
from unlost.client.errors import UnlostError
from unlost.effects import MAX_RESULT, Recorded
from unlost.ledger.protocol import LeaseOver, LedgerUnavailable, LedgerUnfit
from unlost.pulling import wire
from unlost.pulling.connections import Connections

T = TypeVar("T")

PATIENCE: Final = 30.0
"""Seconds that an answer may take beyond what a claim waits."""

PART: Final = 1 / 3
"""Of a lease, what a beat, or a look at what still runs, may take: where one of them finds no way,
there is time for others before the lease ends."""

MOST: Final = 1_000
"""Attempts that one call names, at most."""

HEAVIEST: Final = 4_000_000
"""Bytes of one call, unless a single attempt has more: as much as every home takes."""

_NOT_KEPT: Final = msgspec.Raw(b'"' + b"." * MAX_RESULT + b'"')
"""Stands for what cannot be kept of a step: it is larger than what can."""

_UNFIT: Final = (400, 413, 422)
"""Answers to a call that say that something in its body cannot be taken, whenever it comes."""

_encode = msgspec.json.Encoder().encode


class Edge(Protocol):
    """What reaches a service."""

    async def ask(self, request: Request, within: float | None = None) -> Reply:
        """What this call is answered, or why it was not, in so many seconds, if any are given."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class Busy(LedgerUnavailable):
    """The service asks to be left alone for `wait` seconds."""

    def __init__(self, why: str, wait: float) -> None:
        super().__init__(why)
        self.wait = wait


class Service:
    """A service, by its API.

    Each call raises LedgerUnavailable where none answers, or where it says that it cannot now (as
    `Busy`, if it says for how long), and LedgerUnfit for a refusal that stays until somebody
    changes something: the key, its scopes, the address.
    """

    def __init__(self, url: str, edge: Edge) -> None:
        self._url = url
        self._edge = edge

    @classmethod
    def at(cls, address: Address) -> Service:
        """The service at this address."""
        return cls(address.url, Connections(address, PATIENCE))

    async def claim(self, claim: wire.Claim) -> tuple[wire.Attempt, ...]:
        """The attempts that this claim gives, or has given as far as they run."""
        answer = await self._ask("/attempts/claim", claim, waits=claim.wait)
        return self._read(answer, wire.Attempts).attempts

    async def extend(
        self,
        worker: str,
        lease: float,
        tokens: tuple[str, ...] = (),
        *,
        within: float | None = None,
    ) -> set[str]:
        """Let the lease of all that a worker holds end in so many seconds; which of these tokens'
        attempts run no more.  `within` are the seconds that this may take.

        Raises LeaseOver where it holds nothing any more.
        """
        body = wire.Extension(lease, tokens)
        answer = await self._ask(f"/workers/{worker}/extend", body, (200, 409), within=within)
        if answer.status == 409:
            raise LeaseOver(worker)
        return {one.token for one in self._read(answer, wire.AllGone).gone}

    async def record(self, token: str, name: str, result: str | None) -> Recorded:
        """Record a step; None stands for what cannot be kept."""
        raw = _NOT_KEPT if result is None else msgspec.Raw(result.encode())
        body = wire.MadeStep(token, name, raw)
        answer = await self._ask("/attempts/steps", body, (200, 404, 409))
        if answer.status == 200:
            kept = self._read(answer, wire.Kept).kept
            return Recorded.KEPT if kept else Recorded.NOT_KEPT
        if problem_of(answer).type.endswith(":another-result"):
            return Recorded.ANOTHER
        return Recorded.NOT_RUNNING

    async def settle(self, ends: list[wire.End]) -> list[wire.Result]:
        """What became of each, in order, none of them a passing refusal."""
        texts = [_encode(one) for one in ends]
        results: list[wire.Result] = []
        while texts:
            count, room = 0, HEAVIEST
            while count < min(len(texts), MOST) and (not count or len(texts[count]) <= room):
                room -= len(texts[count])
                count += 1
            results += await self._settle(texts[:count])
            del texts[:count]
        return results

    async def _settle(self, texts: list[bytes]) -> tuple[wire.Result, ...]:
        body = b'{"attempts":[' + b",".join(texts) + b"]}"
        answer = await self._ask("/attempts/settle", body, (200, *_UNFIT))
        if answer.status != 200:
            return await self._apart(texts, answer)
        results = self._read(answer, wire.Results).results
        if len(results) != len(texts):
            raise LedgerUnavailable(f"{self._url} answered {len(results)} of {len(texts)} attempts")
        for one in results:
            if is_passing(one.status):
                raise Busy(f"{one.detail} ({one.status})", asked_wait(answer))
        return results

    async def _apart(self, texts: list[bytes], refused: Answer) -> tuple[wire.Result, ...]:
        """Settle in halves what was refused together: one of them must not hold up the others."""
        if len(texts) == 1:
            return (wire.Result(422, detail=str(problem_of(refused))),)
        half = len(texts) // 2
        return (*await self._settle(texts[:half]), *await self._settle(texts[half:]))

    async def close(self) -> None:
        """Close its connections."""
        await self._edge.close()

    async def _ask(
        self,
        path: str,
        body: object,
        expected: tuple[int, ...] = (200,),
        *,
        waits: float = 0.0,
        within: float | None = None,
    ) -> Answer:
        text = body if isinstance(body, bytes) else _encode(body)
        reply = await self._edge.ask(Request("POST", path, body=text, waits=waits), within)
        if isinstance(reply, NoAnswer):
            raise LedgerUnavailable(reply.why)
        if reply.status in expected:
            return reply
        problem = problem_of(reply)
        what = "this" if problem.type.startswith(URN) else path  # else it may be no unlost
        why = f"{self._url} refused {what}: {problem}"
        if is_passing(reply.status):
            raise Busy(why, asked_wait(reply))
        raise LedgerUnfit(why)

    def _read(self, answer: Answer, kind: type[T]) -> T:
        try:
            return read(answer, kind)
        except UnlostError as error:
            raise LedgerUnavailable(f"{self._url}: {error}") from error
