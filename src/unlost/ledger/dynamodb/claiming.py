"""Claiming: starting attempts, each in one conditional write, counted before it runs.

By id (`claim_task`, what a queue's message leads to): 1 WCU, since nothing that is indexed
changes.  From what is due (`claim`, for enlisted workers): 3 WCU, the record and the move in the
index.  Priorities hold among what is looked at: all that is due, or the oldest `LOOKED_AT` of
each shard where more is due than that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Collection
from typing import Literal

import msgspec
from msgspec.structs import replace

from unlost.ledger.dynamodb import reading, schema, workers
from unlost.ledger.dynamodb.announce import Telling
from unlost.ledger.dynamodb.calls import Calls, Clash, together
from unlost.ledger.dynamodb.schema import DUE, LAST, LOOK
from unlost.ledger.dynamodb.steps import TRIES, Step, write
from unlost.ledger.dynamodb.stored import Stored, held, leased, read
from unlost.ledger.dynamodb.wire import Item
from unlost.ledger.protocol import LeaseOver, LedgerUnavailable
from unlost.ledger.values import Claim, Claimed, Part
from unlost.policy import Limits
from unlost.task import SECOND, Micros, State

LATE: Micros = 60 * SECOND
"""How long after its end the sweep may meet a lease of an attempt's own."""

LOOKED_AT = 1_000
"""Index entries of a shard in one page; a claim reads on only where these do not suffice."""

VERIFIED_AT_ONCE = 10


class NotClaimed(msgspec.Struct, frozen=True):
    """Why a task was not claimed by its id.  `due_at` is set where it is `not_due`."""

    reason: Literal["unknown", "terminal", "not_due", "running", "unhandled", "paused"]
    due_at: Micros | None = None


class Wish(msgspec.Struct, frozen=True):
    """What a claim takes: these types (None: every type) but the paused ones, alone or not."""

    types: Collection[str] | None
    alone: bool
    paused: frozenset[str]

    def meets(self, item: Item) -> bool:
        """Whether an index entry is of this kind."""
        return item.get("alone", False) is self.alone and self._takes(item["type"])

    def fits(self, stored: Stored) -> bool:
        """Whether a record is, and waits."""
        return stored.claimable and stored.alone is self.alone and self._takes(stored.type)

    def _takes(self, name: str) -> bool:
        return name not in self.paused and (self.types is None or name in self.types)


async def claim(
    calls: Calls,
    tell: Telling,
    wanted: Claim,
    paused: frozenset[str],
    now: Micros,
    patience: Micros,
) -> list[Claimed]:
    """Start up to len(tokens) attempts of the tasks that are due.

    Where another claim is quicker, the next candidate is taken.  Raises LeaseOver.
    """
    if not await workers.alive(calls, wanted.worker, now):
        raise LeaseOver(wanted.worker)
    tokens = deque(wanted.tokens)
    if not tokens:
        return []
    wish = Wish(wanted.types, wanted.alone, paused)
    candidates = deque(await _candidates(calls, wish, len(tokens), now, patience))
    claimed: list[Claimed] = []
    while tokens and candidates:
        some = [candidates.popleft() for _ in range(min(len(tokens), len(candidates)))]
        tasks = await reading.find_many(calls, some)
        due = [tasks[name] for name in some if name in tasks and _ready(tasks[name], wish, now)]
        payloads = await _payloads(calls, due)
        given = [tokens.popleft() for _ in due]
        started = await together(
            _start(calls, tell, wanted, token, stored, payload, now)
            for token, stored, payload in zip(given, due, payloads, strict=True)
        )
        tokens.extendleft(
            token for token, one in zip(given[::-1], started[::-1], strict=True) if one is None
        )
        claimed += [one for one in started if one is not None]
    return claimed


def _ready(stored: Stored, wish: Wish, now: Micros) -> bool:
    return wish.fits(stored) and (stored.due or 0) <= now


async def _candidates(
    calls: Calls, wish: Wish, enough: int, now: Micros, patience: Micros
) -> list[str]:
    """Ids of what seems to be due, best first."""

    async def shard(name: str) -> list[Item]:
        found: list[Item] = []
        async for items in _waiting(calls, name, f"{schema.moment(now + patience)}#{LAST}"):
            found += [item for item in items if item["due"] <= now and wish.meets(item)]
            if len(found) >= enough:
                break
        return found

    shards = await together(map(shard, schema.shard_names(await calls.shards())))
    found = [item for items in shards for item in items]
    found.sort(key=lambda item: (-item["priority"], item["due"], item["at"].partition("#")[2]))
    return [schema.task_id(item["pk"]) for item in found]


def _waiting(calls: Calls, shard: str, high: str | None) -> AsyncIterator[list[Item]]:
    place = schema.partition(DUE, shard)
    return calls.walk(place, index=LOOK, high=high, limit=LOOKED_AT)


async def _payloads(calls: Calls, tasks: list[Stored]) -> list[str]:
    """Payloads are read before the claim, so that nothing is claimed where that fails."""
    found = await reading.records(calls, tasks, (Part.PAYLOAD,))
    return [record.payload or "" for record in found]


async def _start(
    calls: Calls,
    tell: Telling,
    wanted: Claim,
    token: str,
    stored: Stored,
    payload: str,
    now: Micros,
) -> Claimed | None:
    """Start an attempt of this worker; None where somebody else was quicker."""
    limits = wanted.limits(stored.type, Limits(stored.own_retries, stored.own_timeout))
    new = started(stored, token, wanted.worker, limits, now)
    new = replace(new, due=None, **held(stored, wanted.worker, token))
    try:
        await write(calls, stored, Step(new))
    except Clash:
        return None
    tell.moved(new)
    return claimed_as(new, payload, stored.due_at)


def started(stored: Stored, token: str, worker: str, limits: Limits, now: Micros) -> Stored:
    """The record once an attempt is counted that begins now."""
    if limits.max_retries is None or limits.timeout is None:
        raise ValueError("the claim's defaults leave a limit open")
    return replace(
        stored,
        state=State.RUNNING,
        updated_at=now,
        token=token,
        worker=worker,
        number=stored.number + 1,
        spent=stored.spent + 1,
        attempt_count=stored.attempt_count + 1,
        started_at=now,
        deadline=now + round(limits.timeout * SECOND),
        max_retries=limits.max_retries,
        timeout=limits.timeout,
    )


def claimed_as(stored: Stored, payload: str, due_at: Micros | None = None) -> Claimed:
    """What a worker needs to run the attempt that is recorded."""
    return Claimed(
        stored.task_id, stored.token or "", stored.type, payload, stored.number, stored.spent,
        stored.max_retries or 0, stored.timeout or 0.0, stored.deadline or 0,
        stored.redrive_count, stored.submitted_at, stored.started_at or 0, due_at,
    )  # fmt: skip


async def claim_task(
    calls: Calls,
    tell: Telling,
    task_id: str,
    wanted: Claim,
    paused: frozenset[str],
    lease: Micros,
    now: Micros,
) -> Claimed | NotClaimed:
    """Start an attempt of this task under a lease of its own; `wanted` has one token.

    The same token again, after an unknown outcome, is answered with the attempt that it started.
    """
    (token,) = wanted.tokens
    stored = await reading.find(calls, task_id)
    for _ in range(TRIES):
        if stored is None:
            return NotClaimed("unknown")
        if stored.token == token:
            (payload,) = await _payloads(calls, [stored])
            return claimed_as(stored, payload)
        if refusal := _refusal(stored, wanted, paused, now):
            return refusal
        (payload,) = await _payloads(calls, [stored])
        limits = wanted.limits(stored.type, Limits(stored.own_retries, stored.own_timeout))
        new = _under_lease(started(stored, token, wanted.worker, limits, now), now + lease)
        try:
            await write(calls, stored, Step(new))
        except Clash as clash:
            stored = None if clash.item is None else read(clash.item)
            continue
        tell.moved(new)
        return claimed_as(new, payload)
    raise LedgerUnavailable(f"others change the task {task_id} all the time")


def _under_lease(new: Stored, until: Micros) -> Stored:
    """The record under a lease of its own.  It stays in the index where it is, unless the sweep,
    which has put off what is long overdue, would meet it there long after the lease's end."""
    new = replace(new, lease_until=until)
    met_late = (new.at or "") > schema.moment(until + LATE)
    return replace(new, **leased(new, until)) if met_late else new


def _refusal(
    stored: Stored, wanted: Claim, paused: frozenset[str], now: Micros
) -> NotClaimed | None:
    if stored.runs:
        return NotClaimed("running")
    if stored.due_at is None:
        return NotClaimed("terminal")
    if wanted.types is not None and stored.type not in wanted.types:
        return NotClaimed("unhandled")
    if stored.due_at > now:
        return NotClaimed("not_due", stored.due_at)
    if stored.type in paused:
        return NotClaimed("paused")
    return None


async def due_in(
    calls: Calls,
    types: Collection[str] | None,
    paused: frozenset[str],
    now: Micros,
    *,
    alone: bool,
) -> Micros | None:
    """How long until a claim of this kind could find a task; None if nothing waits."""
    wish = Wish(types, alone, paused)
    shards = schema.shard_names(await calls.shards())
    found = await together(_first_due(calls, name, wish) for name in shards)
    return max(0, min(due) - now) if (due := [one for one in found if one is not None]) else None


async def _first_due(calls: Calls, shard: str, wish: Wish) -> Micros | None:
    """When the first task of a shard is due that really waits."""
    async for items in _waiting(calls, shard, None):
        names = [schema.task_id(item["pk"]) for item in items if wish.meets(item)]
        for at in range(0, len(names), VERIFIED_AT_ONCE):
            tasks = await reading.find_many(calls, names[at : at + VERIFIED_AT_ONCE])
            due = [stored.due or 0 for stored in tasks.values() if wish.fits(stored)]
            if due:
                return min(due)
    return None
