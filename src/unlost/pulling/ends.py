"""How a worker's attempts end: what the service is told, and what became of that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from unlost.batches import BatchSize
from unlost.ledger.values import Claimed, Held, Settlement
from unlost.pulling import wire
from unlost.pulling.holding import Holding
from unlost.pulling.service import Service
from unlost.task import SECOND, Event, Outcome, State
from unlost.telemetry.logs import Log
from unlost.telemetry.measuring import Recorder
from unlost.tracing import Tracing
from unlost.worker.attempt import Ended
from unlost.worker.settling.settler import Settling, Unsettled
from unlost.worker.settling.stopping import HoldingBack

FIRST: Final = 2
"""Turns of the event loop in which the claim for the slots that were freed goes out first: the
service then gives the next attempts while it reads how these have ended."""

MALFORMED: Final = 422
FORBIDDEN: Final = 403

log = Log("unlost.pulling")

_EVENTS: Final = {
    Outcome.SUCCEEDED: Event.SUCCEED,
    Outcome.RELEASED: Event.RELEASE,
    Outcome.FAILED: Event.RETRY,
    Outcome.TIMED_OUT: Event.RETRY,
}


def settlement(known: Claimed | Held, ended: Ended) -> Settlement:
    """The end as it is told: what follows, the service decides."""
    event = Event.DIE if ended.final else _EVENTS[ended.outcome]
    return Settlement(
        known.task_id,
        known.token,
        ended.outcome,
        event,
        round(ended.at_least * SECOND),
        ended.error,
        ended.result,
        excused=ended.excused,
    )


class PullSettling(Settling):
    """Settles attempts by the service.

    Those that are timed out the service has settled, or will: no lease outlasts the time that an
    attempt may take.  A success that the service does not take, such as one with a follow-up that
    it refuses, becomes a failure that says so.
    """

    def __init__(
        self,
        service: Service,
        holding: Holding,
        random: Random,
        recorder: Recorder,
        tracing: Tracing,
        *,
        settled: Callable[[], None],
        size: BatchSize,
    ) -> None:
        super().__init__(random, recorder, tracing, settled=settled, size=size)
        self._service = service
        self._holding = holding

    async def _settle(self, batch: Sequence[Unsettled]) -> list[Settlement | None]:
        for _ in range(FIRST):
            await asyncio.sleep(0)
        ends = [one.settlement for one in batch]
        told = [one for one in ends if one.outcome is not Outcome.TIMED_OUT]
        results = await self._service.settle([wire.end(one) for one in told]) if told else []
        held: dict[str, Settlement | None] = {one.token: one for one in ends}
        not_taken = []
        for one, result in zip(told, results, strict=True):
            held[one.token] = _held(one, result)
            if _is_refusal(one, result):
                not_taken.append(wire.refused(one.token, result.detail))
        if not_taken:
            await self._service.settle(not_taken)
        self._holding.over(held)
        return [held[one.token] for one in ends]


def _held(end: Settlement, result: wire.Result) -> Settlement | None:
    """What has held of an end."""
    if result.status == 200:
        return end
    if result.status == MALFORMED and result.state is State.DEAD and end.submit:
        return end.submit[0].conflict
    return None


def _is_refusal(end: Settlement, result: wire.Result) -> bool:
    """Whether the attempt runs on, since its success was not as the service wants it."""
    if end.outcome is not Outcome.SUCCEEDED or result.state is not None:
        return False
    if result.status not in (MALFORMED, FORBIDDEN):
        return False
    log.warning("settlement.refused", extra={"taskId": end.task_id, "why": result.detail})
    return True


class PullHoldingBack(HoldingBack):
    """How the attempt before one ended is not told to workers.  It has not been released where
    each of the task's attempts has spent a retry; else it may have been."""

    async def _before(self, claimed: Claimed) -> Outcome | None:
        return None if claimed.number == claimed.spent else Outcome.RELEASED
