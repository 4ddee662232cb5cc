"""Submitting: one conditional write a task, which is when it is accepted.

A small task costs 3 WCU: the record and its entries in both indexes, 1 each.  A payload over 4 KiB
is an item of its own, written with the record in one transaction: 2 WCU a KiB.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.writes import Put
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.stored import items
from unlost.ledger.dynamodb.stored.positions import Positions
from unlost.ledger.dynamodb.stored.record import Stored, look_at, waits, written
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.values import Submitted, Verdict
from unlost.task import Micros, State, Submission

Task = tuple[Stored, tuple[Item, ...]]
"""A new record, and its payload's item where that is large."""


async def submit(
    calls: Calls,
    tell: Telling,
    submissions: Sequence[Submission],
    positions: Positions,
    now: Micros,
    patience: Micros,
) -> list[Submitted]:
    """Store what is new, side by side; of equal ids in one call the first counts."""
    shards = await calls.shards()
    numbers: dict[str, int] = {}  # of the first of each id
    for number, new in enumerate(submissions):
        numbers.setdefault(new.task_id, number)
    first = [submissions[number] for number in numbers.values()]
    tasks = [(new, prepared(new, positions, shards, now, patience)) for new in first]
    answers = await together(_submit(calls, tell, *task) for task in tasks)
    found = dict(zip(numbers, answers, strict=True))
    return [
        answer if numbers[new.task_id] == number else Submitted(again(new.digest, digest))
        for number, new in enumerate(submissions)
        for answer, digest in [found[new.task_id]]
    ]


def prepared(
    new: Submission, positions: Positions, shards: int, now: Micros, patience: Micros
) -> Task:
    """A task as it is kept when it is submitted now."""
    submitted_at, position = positions.next(new.task_id, now)
    due = now + new.delay if new.run_at is None else new.run_at
    stored = Stored(
        task_id=new.task_id,
        type=new.type,
        state=State.QUEUED,
        priority=new.priority,
        digest=new.digest,
        position=position,
        submitted_at=submitted_at,
        updated_at=submitted_at,
        shard=schema.shard(new.task_id, shards),
        due=due,
        own_retries=new.max_retries,
        own_timeout=new.timeout,
        max_retries=new.max_retries,
        timeout=new.timeout,
        key=new.key,
        carried=new.carried,
    )
    stored = replace(stored, **waits(stored, look_at(due, now, patience)))
    return items.with_payload(stored, new.payload, 0)


async def compare(calls: Calls, submissions: Sequence[Submission]) -> list[Verdict | None]:
    """What each is whose id is there already; None for one that is new."""
    found = await reading.find_many(calls, {new.task_id for new in submissions})
    return [
        again(new.digest, found[new.task_id].digest) if new.task_id in found else None
        for new in submissions
    ]


async def _submit(
    calls: Calls, tell: Telling, new: Submission, task: Task
) -> tuple[Submitted, bytes]:
    """The answer, and the digest that is stored now."""
    stored, payload = task
    try:
        await calls.write_together(writes(stored, payload))
    except Clash as clash:
        there = bytes((clash.item or {}).get("digest", b""))
        return Submitted(again(new.digest, there)), there
    tell.moved(stored)
    answer = Submitted(Verdict.ACCEPTED, stored.submitted_at, stored.due or 0)
    return answer, stored.digest


def writes(stored: Stored, payload: Sequence[Item]) -> list[Put]:
    """What keeps a task, if its id is new."""
    return [Put(written(stored), only_new=True), *map(Put, payload)]


def again(digest: bytes, there: bytes) -> Verdict:
    """What a task is whose id is there already, with that digest."""
    return Verdict.REPLAYED if digest == there else Verdict.CONFLICT
