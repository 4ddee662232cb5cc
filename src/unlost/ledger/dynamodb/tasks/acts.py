"""What people do to tasks: cancel, redrive, discard.

Each is one transaction of the record and the act that stays in its history, 4 WCU and more:
twice the sizes of both, the attempt that a cancel ends, and a new payload that is large.  A call
that may come twice reads what was done before, 1 RCU each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec.structs import replace

from unlost.effects import Forget
from unlost.ledger.calls import compare
from unlost.ledger.dynamodb.attempts.settling import stopped
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.controls import slots
from unlost.ledger.dynamodb.effects.forgetting import forgetting
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.steps import TRIES, Step, after, take
from unlost.ledger.dynamodb.stored import items
from unlost.ledger.dynamodb.stored.effects import Forgetting, forgot
from unlost.ledger.dynamodb.stored.record import Stored, look_at, waits
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.protocol import LedgerUnavailable, StepsStand, UnknownTask
from unlost.ledger.values import Part
from unlost.task import Act, Attempt, Micros, Outcome


async def cancel(calls: Calls, tell: Telling, task_id: str, act: Act) -> None:
    """Make a task cancelled; a running attempt ends with it.  Raises UnknownTask, Refused."""
    await take(calls, tell, await _find(calls, task_id), partial(_cancelled, act))


async def discard(calls: Calls, tell: Telling, task_id: str, act: Act) -> None:
    """Make a dead letter cancelled; its history stays.  Raises UnknownTask, Refused."""

    async def decided(stored: Stored) -> Decide:
        return partial(_acted, act)

    await _take_once(calls, tell, task_id, act, decided)


async def redrive(
    calls: Calls,
    tell: Telling,
    task_id: str,
    act: Act,
    payload: str | None,
    patience: Micros,
    forget: Forget | None,
) -> None:
    """Give a dead letter a fresh set of attempts, due now.

    Raises UnknownTask, Refused, StepsStand, TooManyForgotten.
    """

    async def decided(stored: Stored) -> Decide:
        stands = stored.died_at is not None and stored.standing
        if payload is not None and forget is None and stands:
            raise StepsStand(task_id)
        what = await forgetting(calls, stored, forget or ())
        return partial(revived, act, act.at, patience, payload, what)

    await _take_once(calls, tell, task_id, act, decided)


Decide = Callable[[Stored], Step]


async def _take_once(
    calls: Calls,
    tell: Telling,
    task_id: str,
    act: Act,
    decided: Callable[[Stored], Awaitable[Decide]],
) -> None:
    """Take the step, unless this call has taken it before, which raises Repeated."""
    for _ in range(TRIES):
        stored = await _find(calls, task_id)
        if act.call is not None:
            made = await calls.get_many(reading.part_keys(stored, (Part.HISTORY,)))
            compare(act.call, (item.get("call") for item in made.values()))
        decide = await decided(stored)
        if await take(calls, tell, stored, partial(_unless_acted, stored.acts, decide)):
            return
    raise LedgerUnavailable(f"others change the task {task_id} all the time")


def _unless_acted(known: int, decide: Decide, stored: Stored) -> Step | None:
    """No step where something was done to the task that is not known: it may be the same call."""
    return decide(stored) if stored.acts == known else None


async def _find(calls: Calls, task_id: str) -> Stored:
    stored = await reading.find(calls, task_id)
    if stored is None:
        raise UnknownTask(task_id)
    return stored


def _acted(act: Act, stored: Stored) -> Step:
    """The step that an act leads to, with what all acts have in common."""
    new = replace(
        stopped(stored, act.at),
        state=after(stored, act.event),
        acts=stored.acts + 1,
        fingerprint=None,
        died_at=None,
    )
    return Step(new, (items.act_item(stored.task_id, new.acts, act),))


def _cancelled(act: Act, stored: Stored) -> Step:
    step = _acted(act, stored)
    if not stored.runs:
        return step
    step = replace(step, also=slots.given_back(stored))
    started_at = stored.started_at or 0
    attempt = Attempt(stored.number, started_at, max(act.at, started_at), Outcome.CANCELLED)
    ended = items.attempt_item(stored.task_id, attempt)
    return replace(step, new=replace(step.new, alone=False), beside=(*step.beside, ended))


def revived(
    act: Act,
    due: Micros,
    patience: Micros,
    payload: str | None,
    forgetting: Forgetting,
    stored: Stored,
) -> Step:
    """The step that gives a dead letter a fresh set of attempts.  Raises Refused,
    TooManyForgotten."""
    step = _acted(act, stored)
    count = stored.redrive_count + 1
    new = replace(
        step.new,
        due=due,
        spent=0,
        excused=0,
        redrive_count=count,
        redrive=act.redrive,
        **waits(stored, look_at(due, act.at, patience)),
    )
    new = forgot(new, forgetting, act.at)
    if payload is None:
        return Step(new, step.beside)
    new, large = items.with_payload(new, payload, count)
    return Step(new, (*step.beside, *large))
