"""What the sweep does: it finds what no hint, and no worker, has brought on.

* Tasks that wait longer than they should are hinted again, each time after twice the wait, so
  that a deep backlog is not hinted again at each sweep.  Those whose type is marked `pull` are not
  hinted (see `Telling`), and looked at as seldom: once the mark is taken off, they are.
* Attempts under a lease of their own move to where `held(None)` finds them at the lease's end.
* Deaths that nobody has reported are announced again.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.indexes import existing
from unlost.ledger.dynamodb.connection.writes import Change
from unlost.ledger.dynamodb.controls import slots
from unlost.ledger.dynamodb.dead_letters import reporting
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.schema import DUE, LOOK
from unlost.ledger.dynamodb.steps import Step, write
from unlost.ledger.dynamodb.stored import items
from unlost.ledger.dynamodb.stored.record import PUT_OFF, Stored, leased, look_at, waits
from unlost.task import SECOND, Micros

LONGEST: Micros = PUT_OFF
"""The longest time between two hints for one task that is overdue."""

UNREPORTED: Micros = 300 * SECOND
"""How long a death may wait for its report before it is announced again."""


class Swept(msgspec.Struct, frozen=True):
    """How many records were put elsewhere in the index, and how many of their tasks hinted."""

    moved: int
    hinted: int


PAUSED: Micros = 300 * SECOND
"""The longest time between two looks whether a task's type is still paused."""


async def hint_overdue(
    calls: Calls, tell: Telling, paused: frozenset[str], now: Micros, patience: Micros, limit: int
) -> int:
    """Hint up to `limit` tasks that nobody has brought on; how many were hinted, or are paused.

    3 WCU for each, and for each that runs under a lease of its own and is met.  Without patience
    (nobody is announced to) what waits is left to the workers.
    """
    shards = schema.shard_names(await calls.shards())
    hinted = 0
    while hinted < limit:
        share, rest = divmod(limit - hinted, len(shards))
        swept = await together(
            _shard(calls, tell, paused, name, now, patience, share + (number < rest))
            for number, name in enumerate(shards[: limit - hinted])
        )
        hinted += sum(one.hinted for one in swept)
        if not any(one.moved for one in swept):
            break
    return hinted


async def _shard(
    calls: Calls,
    tell: Telling,
    paused: frozenset[str],
    shard: str,
    now: Micros,
    patience: Micros,
    limit: int,
) -> Swept:
    high = schema.up_to(now)
    place = schema.partition(DUE, shard)
    found, _ = await calls.page(place, index=LOOK, high=high, limit=limit)
    tasks = await existing(calls, found)
    looked = await together(
        _look(calls, tell, stored, stored.type in paused, now, patience)
        for stored in tasks.values()
        if stored.o == place and (stored.at or "") <= high  # else the index lags
    )
    return Swept(sum(one.moved for one in looked), sum(one.hinted for one in looked))


async def _look(
    calls: Calls, tell: Telling, stored: Stored, paused: bool, now: Micros, patience: Micros
) -> Swept:
    """Put the task where it is next looked at."""
    new = _next_look(stored, now, patience, PAUSED if paused else LONGEST)
    if new.at == stored.at and new.o == stored.o:
        return Swept(0, 0)
    try:
        await write(calls, stored, Step(new))
    except Clash:
        return Swept(0, 0)  # something happens to it
    if stored.due_at is None or max(stored.due_at, stored.turn or 0) > now:
        return Swept(1, 0)
    if not paused:
        tell.due(stored.task_id, stored.type, stored.due_at, slots.mark(stored))
    return Swept(1, 1)


def _next_look(stored: Stored, now: Micros, patience: Micros, longest: Micros) -> Stored:
    if stored.runs:
        return replace(stored, **leased(stored, stored.lease_until or now))
    if patience == 0:
        return stored
    due = max(stored.due or 0, stored.turn or 0)
    if due > now:
        return replace(stored, **waits(stored, look_at(due, now, patience)))
    wait = min(max(now - due, patience), max(longest, patience))
    return replace(stored, **waits(stored, now + wait))


async def hint_deaths(calls: Calls, tell: Telling, now: Micros, limit: int) -> int:
    """Announce up to `limit` deaths anew that wait for their report too long; how many.

    3 WCU each.  A report stays free to be claimed all the while.
    """
    found = await reporting.free(calls, now - UNREPORTED)
    keys = [schema.report_key(report_id) for report_id in found[:limit]]
    told = 0
    for item in (await calls.get_many(keys)).values():
        if item["free_at"] > now - UNREPORTED:
            continue
        report_id = schema.report_id(item["pk"])
        again = items.reporting(items.shard_of(item), report_id, now)
        try:
            await calls.write(Change(item, {**item, **again}))
        except Clash:
            continue  # somebody is at it
        tell.died(item)
        told += 1
    return told
