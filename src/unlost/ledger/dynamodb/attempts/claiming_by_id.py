"""Claiming one task by its id, which is what a queue's message leads to.

1 WCU, since nothing that is indexed changes.  Where limits hold for its type, 2 WCU for the record
and 2 for each slot, and reading the slots that are taken.
A turn that a rate gives is kept in the record, 1 WCU.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from random import Random
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.attempts.starting import claimed_as, payloads, start, started
from unlost.ledger.dynamodb.connection.calls import Calls, Clash
from unlost.ledger.dynamodb.controls import pacing, slots
from unlost.ledger.dynamodb.controls.slots import Room, Taken
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.steps import TRIES, Step, write
from unlost.ledger.dynamodb.stored.record import Stored, leased, read
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Claim, Claimed
from unlost.limits.control import Control
from unlost.policy import Limits
from unlost.task import SECOND, Micros

LONGEST: Final = 885.0
"""Seconds that no attempt outlasts in a function: Lambda's limit, less what it takes to start and
to settle."""

BY_WHAT_IS_SET: Final = ("pulled", "paused", "named")
"""Reasons that may be over already where they were known from before."""

LATE: Micros = 60 * SECOND
"""How long after its end the sweep may meet a lease of an attempt's own."""


class NotClaimed(msgspec.Struct, frozen=True):
    """Why a task was not claimed by its id.

    `due_at` is set where it is `not_due`, and where there is `no_room`: before then there is none.
    Where a `rate` holds it up that is its turn, None if that is far off.  `since` is when it was
    due that has no room.  One that is `too_long` was accepted for workers elsewhere, that can give
    it the time it asks for.  One that is `named`, by a worker that claims by the API, is left to
    it by a stand-in, with `due_at` and `since` as where there is no room.  `mark` is that of the
    task's key, for the hint that may follow.
    """

    reason: Literal[
        "unknown",
        "terminal",
        "not_due",
        "running",
        "unhandled",
        "paused",
        "pulled",
        "named",
        "too_long",
        "no_room",
        "rate",
    ]
    due_at: Micros | None = None
    since: Micros | None = None
    mark: str | None = None


class Asked(msgspec.Struct, frozen=True):
    """A claim (with one token) of this task, for `lease`, and what holds for its type: what is set,
    and whether it is among the types `named` that are left to others."""

    task_id: str
    claim: Claim
    lease: Micros
    controls: Mapping[str, Control]
    now: Micros
    named: Collection[str] = ()


async def claim_task(
    calls: Calls, tell: Telling, asked: Asked, random: Random
) -> Claimed | NotClaimed:
    """Start an attempt of this task under a lease of its own.

    The same token again, after an unknown outcome, is answered with the attempt that it started.
    """
    (token,) = asked.claim.tokens
    stored = await reading.find(calls, asked.task_id)
    for _ in range(TRIES):
        if stored is None:
            return NotClaimed("unknown")
        if stored.token == token:
            (payload,) = await payloads(calls, [stored])
            return claimed_as(stored, payload)
        if refusal := _refusal(stored, asked):
            return _of(stored, refusal)
        room = await _room(calls, stored, asked)
        taken = Taken() if room is None else room.take(slots.mark(stored), random)
        if taken is None:
            return _of(stored, await _no_room(calls, stored, asked, room, random))
        (payload,) = await payloads(calls, [stored])
        try:
            new = await start(calls, stored, _new(stored, asked), room, taken)
        except Clash as clash:
            if clash.index == 0:
                stored = None if clash.item is None else read(clash.item)
            continue
        tell.moved(new)
        return claimed_as(new, payload)
    raise LedgerUnavailable(f"others change the task {asked.task_id} all the time")


def _of(stored: Stored, refusal: NotClaimed) -> NotClaimed:
    return replace(refusal, mark=slots.mark(stored))


async def _room(calls: Calls, stored: Stored, asked: Asked) -> Room | None:
    control = asked.controls.get(stored.type)
    if control is None:
        return None
    return await slots.read_for(calls, control, slots.mark(stored), asked.now)


async def _no_room(
    calls: Calls, stored: Stored, asked: Asked, room: Room | None, random: Random
) -> NotClaimed:
    control, mark = asked.controls[stored.type], slots.mark(stored)
    when = None if room is None else room.when(mark)
    if when is not None:
        held, now = stored.turn, asked.now
        if held is not None and await pacing.keeps_turn(calls, control, mark, held, now, random):
            return NotClaimed("rate", max(held, when), stored.due)
        its_turn = await pacing.turn(calls, control, mark, when, now, random)
        await _keep(calls, stored, its_turn)
        return NotClaimed("rate", its_turn, stored.due)
    until = control.circuit.until
    return NotClaimed("no_room", max(asked.now, until or 0), stored.due)


async def _keep(calls: Calls, stored: Stored, turn: Micros | None) -> None:
    if turn is not None:
        with suppress(Clash):  # something happens to it
            await write(calls, stored, Step(replace(stored, turn=turn)))


def _new(stored: Stored, asked: Asked) -> Stored:
    """The record with the attempt.  It stays in the index where it is, unless the sweep, which has
    put off what is long overdue, would meet it there long after the lease's end."""
    (token,), until = asked.claim.tokens, asked.now + asked.lease
    limits = asked.claim.limits(stored.type, Limits(stored.own_retries, stored.own_timeout))
    new = started(stored, token, asked.claim.worker, limits, asked.now)
    new = replace(new, lease_until=until)
    met_late = (new.at or "") > schema.moment(until + LATE)
    return replace(new, **leased(new, until)) if met_late else new


def outlasts_functions(stored: Stored) -> bool:
    """Whether its submit has asked for more time than any function can give."""
    return (stored.own_timeout or 0.0) > LONGEST


def _refusal(stored: Stored, asked: Asked) -> NotClaimed | None:
    types, control = asked.claim.types, asked.controls.get(stored.type)
    if stored.runs:
        return NotClaimed("running")
    if stored.due_at is None:
        return NotClaimed("terminal")
    if control is not None and not control.open_to(asked.claim.claimant):
        return NotClaimed("pulled")
    if outlasts_functions(stored):
        return NotClaimed("too_long")
    if types is not None and stored.type not in types:
        return NotClaimed("unhandled")
    if stored.due_at > asked.now:
        return NotClaimed("not_due", stored.due_at)
    if control is not None and control.pause is not None:
        return NotClaimed("paused")
    left = stored.type in asked.named
    return NotClaimed("named", asked.now, stored.due_at) if left else None
