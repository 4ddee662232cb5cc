"""Submitting: one conditional write a task, which is when it is accepted.

A small task costs 3 WCU: the record and its entries in both indexes, 1 each.  A payload over 4 KiB
is an item of its own, written with the record in one transaction: 2 WCU a KiB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from msgspec.structs import replace

from unlost.ledger.dynamodb import items, schema
from unlost.ledger.dynamodb.announce import Telling
from unlost.ledger.dynamodb.calls import Calls, Clash, together
from unlost.ledger.dynamodb.stored import Stored, look_at, waits, written
from unlost.ledger.dynamodb.wire import Item
from unlost.ledger.dynamodb.writes import Put
from unlost.ledger.values import Submitted, Verdict
from unlost.task import Micros, State, Submission

Task = tuple[Stored, tuple[Item, ...]]
"""A new record, and its payload's item where that is large."""

TURN_BITS = 24
NAME_BITS = 40
LOW_BITS = TURN_BITS + NAME_BITS


class Positions:
    """Submit times and positions, in the order of submission within this process.

    A position is the time in microseconds, then 24 bits that count the tasks which this process
    submitted in that microsecond, then 40 bits of the task id's hash, which keep apart what
    several processes submitted then.  The time never goes back, though the clock may.
    """

    def __init__(self) -> None:
        self._at: Micros = 0
        self._turn = 0

    def next(self, task_id: str, now: Micros) -> tuple[Micros, int]:
        """The submit time and the position of a task that is submitted now."""
        if now > self._at:
            self._at, self._turn = now, 0
        turn, self._turn = self._turn, self._turn + 1
        return self._at, position(task_id, self._at, turn)


def position(task_id: str, submitted_at: Micros, turn: int) -> int:
    """Where a task stands that was submitted then, after `turn` others in that microsecond."""
    name = int.from_bytes(hashlib.sha256(task_id.encode()).digest()[-NAME_BITS // 8 :])
    return max(submitted_at, 0) << LOW_BITS | turn << NAME_BITS | name


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
    tasks = [(new, _stored(new, positions, shards, now, patience)) for new in first]
    answers = await together(_submit(calls, tell, *task) for task in tasks)
    found = dict(zip(numbers, answers, strict=True))
    return [
        answer if numbers[new.task_id] == number else _again(new, digest)
        for number, new in enumerate(submissions)
        for answer, digest in [found[new.task_id]]
    ]


def _stored(
    new: Submission, positions: Positions, shards: int, now: Micros, patience: Micros
) -> Task:
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
    )
    stored = replace(stored, **waits(stored, look_at(due, now, patience)))
    return items.with_payload(stored, new.payload, 0)


async def _submit(
    calls: Calls, tell: Telling, new: Submission, task: Task
) -> tuple[Submitted, bytes]:
    """The answer, and the digest that is stored now."""
    stored, payload = task
    record = Put(written(stored), only_new=True)
    try:
        if payload:
            await calls.write_together([record, *map(Put, payload)])
        else:
            await calls.write(record)
    except Clash as clash:
        there = bytes((clash.item or {}).get("digest", b""))
        return _again(new, there), there
    tell.moved(stored)
    answer = Submitted(Verdict.ACCEPTED, stored.submitted_at, stored.due or 0)
    return answer, stored.digest


def _again(new: Submission, stored: bytes) -> Submitted:
    return Submitted(Verdict.REPLAYED if new.digest == stored else Verdict.CONFLICT)
