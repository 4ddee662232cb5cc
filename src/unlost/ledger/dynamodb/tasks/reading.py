"""Tasks as the protocol shows them: the record, and what lies beside it, in one snapshot.

    stored = await find(calls, task_id)                     one record, None if there is none
    found = await find_many(calls, task_ids)                {task id: record}
    records = await records(calls, [stored, ...], parts)    the protocol's Records, in that order
    entries = await entries(calls, after, limit)            by position, with the ledger's marks

What lies beside a record is written once, with or before the record that speaks of it: so what a
record names is there when it is read later, and is what it was.  Only a purge takes it away,
after the record says so: where something is missing, the record is read again.  An attempt or act
that is missing still is left out: the audit finds the gap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from unlost.effects import Effects, Step
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, together
from unlost.ledger.dynamodb.connection.indexes import following
from unlost.ledger.dynamodb.effects import declaring
from unlost.ledger.dynamodb.schema import Key
from unlost.ledger.dynamodb.stored.effects import effects_of, listed, times
from unlost.ledger.dynamodb.stored.items import read_act, read_attempt
from unlost.ledger.dynamodb.stored.record import Stored, read
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Entry, Part, Transition
from unlost.ledger.weight import EACH, entry_weight, weight, within
from unlost.task import Act, Attempt, Outcome, Record

T = TypeVar("T")
Beside = Mapping[Key, Item]
Steps = tuple[Step, ...]

TOLD = frozenset({Part.ATTEMPTS, Part.HISTORY})
"""What an entry carries."""

LARGEST = {
    Part.PAYLOAD: 256 * 1024,
    Part.RESULT: 64 * 1024,
    Part.ATTEMPTS: 21 * 1024,
    Part.HISTORY: 8 * 1024,
}
"""Bytes of one item of a part, at most."""
AT_ONCE = 2 * 1024 * 1024
"""Bytes that what is read at once can have; a single task may be more."""

READS = 3
"""How often a record is read whose parts are being purged."""


async def find(calls: Calls, task_id: str) -> Stored | None:
    """The task's record as it is now."""
    item = await calls.get(schema.task_key(task_id))
    return None if item is None else read(item)


async def find_many(calls: Calls, task_ids: Iterable[str]) -> dict[str, Stored]:
    """Those of the tasks that are there, by id, as they are now."""
    found = await calls.get_many(schema.task_key(task_id) for task_id in task_ids)
    tasks = (read(item) for item in found.values())
    return {stored.task_id: stored for stored in tasks}


async def records(
    calls: Calls, tasks: Sequence[Stored], parts: Collection[Part], room: float = math.inf
) -> list[Record]:
    """The records of these tasks, or of the first of them, with these parts (see `shown`)."""

    def show(stored: Stored, beside: Beside, _: Steps) -> Record:
        return record(stored, beside, parts)

    return await shown(calls, tasks, parts, show, weight, room)


async def entries(calls: Calls, after: int, limit: int, room: int) -> list[Entry]:
    """Tasks with a position above `after`, in order, with attempts and history."""
    tasks = await following(calls, after, limit)
    found = await shown(calls, tasks, TOLD, entry, entry_weight, room, steps=True)
    declared = await declaring.of_many(calls, tasks[: len(found)])
    return [replace(one, declared=declared.get(one.record.task_id, ())) for one in found]


async def steps_of_many(calls: Calls, tasks: Iterable[Stored]) -> dict[str, Steps]:
    """The steps of those of the tasks that have any, by time, then by name; without those of
    attempts that began after the record was read."""
    some = [stored for stored in tasks if stored.standing is not None]
    found = await together(step_items(calls, stored) for stored in some)
    return {
        stored.task_id: tuple(
            step for step in listed(items, times(stored)) if step.attempt <= stored.number
        )
        for stored, items in zip(some, found, strict=True)
    }


async def step_items(calls: Calls, stored: Stored) -> list[Item]:
    """The items of all steps that were ever recorded of a task."""
    return [] if stored.standing is None else await all_step_items(calls, stored)


async def all_step_items(calls: Calls, stored: Stored) -> list[Item]:
    """The same, whatever the record says."""
    pk, _ = schema.task_key(stored.task_id)
    walk = calls.walk(pk, low=schema.STEP, high=f"{schema.STEP}{schema.LAST}")
    return [item async for page in walk for item in page]


async def shown(
    calls: Calls,
    tasks: Sequence[Stored],
    parts: Collection[Part],
    show: Callable[[Stored, Beside, Steps], T],
    weigh: Callable[[T], int],
    room: float,
    *,
    steps: bool = False,
) -> list[T]:
    """What `show` makes of each task as it is, of the items that these parts need, and of its
    steps where they are asked for.

    None after the one with which they weigh `room` or more: they are read step by step.
    """
    found: list[T] = []
    at = 0
    while at < len(tasks) and room > 0:
        some = list(within(AT_ONCE, tasks[at:], lambda stored: bound(stored, parts, steps=steps)))
        fitting = list(within(room, await _shown(calls, some, parts, show, steps=steps), weigh))
        found += fitting
        room -= sum(map(weigh, fitting))
        at += len(some)
    return found


def bound(stored: Stored, parts: Collection[Part], *, steps: bool = False) -> int:
    """Bytes that the items of these parts can have, about, and those of its steps."""
    numbers = {
        Part.PAYLOAD: stored.payload_from is not None,
        Part.RESULT: stored.result_apart,
        Part.ATTEMPTS: stored.apart,
        Part.HISTORY: stored.acts,
    }
    apart = (stored.step_bytes or 0) + EACH * (stored.standing or 0) if steps else 0
    return EACH + apart + sum(LARGEST[part] * numbers[part] for part in parts)


async def _shown(
    calls: Calls,
    tasks: Sequence[Stored],
    parts: Collection[Part],
    show: Callable[[Stored, Beside, Steps], T],
    *,
    steps: bool,
) -> list[T]:
    made = await steps_of_many(calls, tasks) if steps else {}
    beside = await calls.get_many(key for stored in tasks for key in part_keys(stored, parts))
    all_shown = []
    for task in tasks:
        stored, found = task, beside
        for _ in range(READS):
            if all(key in found for key in part_keys(stored, parts)):
                break
            stored = await find(calls, task.task_id) or task
            found = await calls.get_many(part_keys(stored, parts))
        try:
            all_shown.append(show(stored, found, made.get(task.task_id, ())))
        except KeyError as missing:
            raise LedgerUnavailable(f"a part of a task is missing: {missing}") from missing
    return all_shown


def part_keys(stored: Stored, parts: Collection[Part]) -> list[Key]:
    """What these parts of a record need beside it."""
    task_id, keys = stored.task_id, []
    if Part.PAYLOAD in parts and stored.payload_from is not None:
        keys.append(schema.payload_key(task_id, stored.payload_from))
    if Part.RESULT in parts and stored.result_apart:
        keys.append(schema.result_key(task_id))
    if Part.ATTEMPTS in parts:
        keys += [schema.attempt_key(task_id, number + 1) for number in range(stored.apart)]
    if Part.HISTORY in parts:
        keys += [schema.act_key(task_id, number + 1) for number in range(stored.acts)]
    return keys


def record(stored: Stored, beside: Beside, parts: Collection[Part]) -> Record:
    """The task with these parts; `beside` holds the items that `part_keys` named."""
    attempts = _attempts(stored, beside) if Part.ATTEMPTS in parts else ()
    errors = [attempt.error for attempt in attempts if attempt.error is not None]
    return Record(
        stored.task_id, stored.type, stored.state, stored.priority, stored.digest,
        stored.submitted_at, stored.updated_at, stored.due_at, stored.max_retries, stored.timeout,
        stored.attempt_count, stored.redrive_count,
        errors[-1] if errors else stored.error,
        stored.purged_at,
        payload_text(stored, beside) if Part.PAYLOAD in parts else None,
        _result(stored, beside) if Part.RESULT in parts else None,
        attempts,
        _history(stored, beside) if Part.HISTORY in parts else (),
        stored.key,
        stored.carried,
        stored.excused,
    )  # fmt: skip


def payload_text(stored: Stored, beside: Beside) -> str | None:
    """The payload in force."""
    if stored.payload_from is None:
        return stored.payload
    return str(beside[schema.payload_key(stored.task_id, stored.payload_from)]["text"])


def _result(stored: Stored, beside: Beside) -> str | None:
    if not stored.result_apart:
        return stored.result
    return str(beside[schema.result_key(stored.task_id)]["text"])


def _attempts(stored: Stored, beside: Beside) -> tuple[Attempt, ...]:
    keys = (schema.attempt_key(stored.task_id, number + 1) for number in range(stored.apart))
    ended = tuple(read_attempt(beside[key]) for key in keys if key in beside)
    if stored.purged_at is not None or not stored.in_record:
        return ended
    outcome = None if stored.runs else Outcome.SUCCEEDED
    last = Attempt(stored.number, stored.started_at or 0, stored.finished_at, outcome)
    return (*ended, last)


def _history(stored: Stored, beside: Beside) -> tuple[Act, ...]:
    keys = (schema.act_key(stored.task_id, number + 1) for number in range(stored.acts))
    return tuple(read_act(beside[key]) for key in keys if key in beside)


def entry(stored: Stored, beside: Beside, steps: Steps) -> Entry:
    """The task with the ledger's marks, with attempts, history and steps."""
    dead_letter = stored.dead_letter
    return Entry(
        stored.position,
        record(stored, beside, (Part.ATTEMPTS, Part.HISTORY)),
        stored.token,
        stored.worker,
        stored.spent,
        None if dead_letter is None else dead_letter.fingerprint,
        stored.claimable,
        (effects_of(stored) or Effects()).forgotten,
        tuple(replace(step, result=None) for step in steps),
        brought=stored.brought,
    )


def transition(stored: Stored) -> Transition:
    """The change of state that has just happened."""
    return Transition(stored.task_id, stored.type, stored.state, stored.number, stored.updated_at)
