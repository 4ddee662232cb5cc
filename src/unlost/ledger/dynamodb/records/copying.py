"""Tasks as copies: read from this ledger, and kept as another ledger kept them.

A task comes with its record or not at all.  It is restored in one transaction, where that can
hold it.  Where it cannot, what lies beside the record is written first, and nothing speaks of it
until the record does; it is written only while there is no record, so that no other task's items
are ever replaced.  Restoring costs what a submit does, and 2 WCU a KiB once anything lies beside.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from unlost.effects import taken_along
from unlost.ledger.deaths import dead_letter
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.indexes import following
from unlost.ledger.dynamodb.connection.writes import Absent, Put
from unlost.ledger.dynamodb.dead_letters.reporting import CHANCE_BITS, unreported
from unlost.ledger.dynamodb.effects import declaring, recording
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.schema import REPORT
from unlost.ledger.dynamodb.stored import items
from unlost.ledger.dynamodb.stored.effects import effects_of, restored
from unlost.ledger.dynamodb.stored.positions import position
from unlost.ledger.dynamodb.stored.record import Stored, dead, held, look_at, waits, written
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import families, reading
from unlost.ledger.dynamodb.tasks.submitting import again
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import EVERYTHING, Copy, Death, Verdict
from unlost.ledger.weight import copy_weight
from unlost.policy import Limits
from unlost.task import FINAL, TERMINAL, Micros, Record, State

TRIES = 50
ITEMS_AT_ONCE = 99
"""Items that one transaction writes at most, beside the record; DynamoDB takes 100."""
BYTES_AT_ONCE = 3_000_000
"""About how much they hold; DynamoDB takes 4 MB."""
ROUGHLY = 1_000
"""Bytes that an item has beside its texts, at most."""


async def copies(calls: Calls, after: int, limit: int, room: int) -> list[tuple[int, Copy]]:
    """Tasks with a position above `after`, in order, with all that is kept of them.

    Where one of them ever died, all reports still to be made in its shard are read, too: after
    the records, so that no death is overlooked but for the index's lag.
    """
    tasks = await following(calls, after, limit)
    secret = await recording.secret(calls)

    def show(stored: Stored, beside: reading.Beside, steps: reading.Steps) -> tuple[int, Copy]:
        return stored.position, replace(_copy(stored, beside, secret), steps=steps)

    found = await reading.shown(calls, tasks, EVERYTHING, show, copy_weight, room, steps=True)
    tasks = tasks[: len(found)]
    shards = {task.shard for task in tasks if task.acts or task.state is State.DEAD}
    deaths = await _deaths(calls, shards)
    declared = await declaring.of_many(calls, tasks)
    return [
        (at, replace(_with_deaths(copy, deaths[task_id]), declared=declared.get(task_id, ())))
        for at, copy in found
        for task_id in [copy.record.task_id]
    ]


def _copy(stored: Stored, beside: reading.Beside, secret: bytes) -> Copy:
    over = stored.state in FINAL
    return Copy(
        reading.record(stored, beside, EVERYTHING),
        Limits(stored.own_retries, stored.own_timeout),
        stored.spent,
        stored.alone,
        stored.token,
        stored.worker,
        stored.deadline,
        stored.died_at,
        effects=taken_along(
            effects_of(stored), secret, stored.task_id, stored.submitted_at, over=over
        ),
        brought=stored.brought,
    )


async def _deaths(calls: Calls, shards: set[str]) -> dict[str, list[Death]]:
    """The deaths still to be reported in these shards, by task."""
    found: dict[str, list[Death]] = defaultdict(list)
    for item in await unreported(calls, shards):
        death = Death(item["died_at"], item["number"], item["attempt_count"])
        found[item["task_id"]].append(death)
    return found


def _with_deaths(copy: Copy, deaths: Sequence[Death]) -> Copy:
    """With those deaths that it had died when it was read."""
    task = copy.record
    ended = {attempt.number for attempt in task.attempts if attempt.outcome is not None}
    known = [death for death in deaths if death.number in ended or task.purged_at is not None]
    known.sort(key=lambda death: (death.died_at, death.number))
    return replace(copy, unreported=tuple(known))


class Places:
    """Positions of tasks that are restored: by submission, and as they come where that is equal."""

    def __init__(self) -> None:
        self._at: Micros | None = None
        self._turn = 0

    def next(self, task: Record) -> int:
        """The position of the task that is restored now."""
        self._turn = self._turn + 1 if task.submitted_at == self._at else 0
        self._at = task.submitted_at
        return position(task.task_id, task.submitted_at, self._turn)


Whole = tuple[Stored, tuple[Item, ...]]
"""A task to restore: its record, and what lies beside it; reports come last."""


async def restore(
    calls: Calls,
    tell: Telling,
    copies: Sequence[Copy],
    places: Places,
    now: Micros,
    patience: Micros,
) -> list[Verdict]:
    """Keep those that are new, side by side; of equal ids in one call the first counts."""
    shards = await calls.shards()
    first: dict[str, int] = {}
    for number, copy in enumerate(copies):
        first.setdefault(copy.record.task_id, number)
    wholes = [_whole(copies[one], places, shards, now, patience) for one in first.values()]
    answers = await together(_restore(calls, tell, whole) for whole in wholes)
    await families.keep(calls, (copy.record for copy in copies))
    found = dict(zip(first, answers, strict=True))
    return [
        verdict if first[copy.record.task_id] == number else again(copy.record.digest, digest)
        for number, copy in enumerate(copies)
        for verdict, digest in [found[copy.record.task_id]]
    ]


async def _restore(calls: Calls, tell: Telling, whole: Whole) -> tuple[Verdict, bytes]:
    """The verdict, and the digest that is stored now."""
    stored, beside = whole
    *before, last = list(_cut(beside)) or [()]
    absent, record = Absent(schema.task_key(stored.task_id)), Put(written(stored), only_new=True)
    try:
        reports = [one for part in before for one in await _write(calls, absent, part)]
        reports += await _write(calls, record, last)
    except Clash as clash:
        there = bytes((clash.item or {}).get("digest", b""))
        return again(stored.digest, there), there
    tell.moved(stored)
    for report in reports:
        tell.died(report)
    return Verdict.ACCEPTED, stored.digest


def _cut(beside: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
    """Cut into what one transaction can hold."""
    part: list[Item] = []
    room = BYTES_AT_ONCE
    for item in beside:
        size = ROUGHLY + sum(len(str(value).encode()) for value in item.values())
        if part and (size > room or len(part) == ITEMS_AT_ONCE):
            yield tuple(part)
            part, room = [], BYTES_AT_ONCE
        part.append(item)
        room -= size
    if part:
        yield tuple(part)


async def _write(calls: Calls, first: Put | Absent, beside: Sequence[Item]) -> list[Item]:
    """Write these items with `first`, or nothing; the reports among them, as they are then.

    Raises Clash where the task's record is there.
    """
    now, turns = list(beside), Counter[int]()  # by the number of the attempt that died
    for _ in range(TRIES):
        puts = [Put(item, only_new=item["sk"] == REPORT) for item in now]
        try:
            await calls.write_together([first, *puts])
            return [item for item in now if item["sk"] == REPORT]
        except Clash as clash:
            if clash.index == 0:
                raise
            at = clash.index - 1
            if _same_death(clash.item, now[at]):
                now = await _left(calls, now)
                continue
            turns[now[at]["number"]] += 1
            now[at] = _numbered(now[at], turns[now[at]["number"]])
    raise LedgerUnavailable("too many deaths of the same moment are still to be reported")


async def _left(calls: Calls, beside: Sequence[Item]) -> list[Item]:
    """Without the reports that a try has written which was cut off."""
    keys = [(item["pk"], item["sk"]) for item in beside]
    found = await calls.get_many(key for key in keys if key[1] == REPORT)
    both = zip(keys, beside, strict=True)
    return [item for key, item in both if not _same_death(found.get(key), item)]


def _same_death(there: Item | None, report: Item) -> bool:
    names = ("task_id", "number", "died_at")
    return there is not None and all(there[name] == report[name] for name in names)


def _numbered(report: Item, turn: int) -> Item:
    """The report under the id that it tries next, the same whoever restores it.

    Ids are made as for any death; each turn takes from twice as many.
    """
    name = f"{turn} {report['number']} {report['task_id']}"
    low = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % (1 << CHANCE_BITS + turn)
    report_id = (max(report["died_at"], 0) << CHANCE_BITS) + low
    pk, sk = schema.report_key(report_id)
    free = items.reporting(items.shard_of(report), report_id, report["died_at"])
    return {**report, "pk": pk, "sk": sk, **free}


# A copy as items


def _whole(copy: Copy, places: Places, shards: int, now: Micros, patience: Micros) -> Whole:
    """The task as this ledger would have kept it."""
    task = copy.record
    stored, beside = _placed(_stored(copy, places.next(task), shards), copy, now, patience), []
    beside += [
        items.attempt_item(task.task_id, one) for one in task.attempts if one.number <= stored.apart
    ]
    beside += [items.act_item(task.task_id, at + 1, act) for at, act in enumerate(task.history)]
    if task.payload is not None:
        stored, payload = items.with_payload(stored, task.payload, 0)
        beside += payload
    stored, result = items.with_result(stored, task.result)
    stored, steps = restored(stored, copy.effects, copy.steps)
    reports = [_report(stored, death) for death in copy.unreported]
    effects = [declaring.effect_item(task.task_id, shards, one) for one in copy.declared]
    return stored, (*beside, *result, *steps, *effects, *reports)


def _stored(copy: Copy, place: int, shards: int) -> Stored:
    task = copy.record
    last = task.attempts[-1] if task.attempts else None
    going = bool(task.history) and task.state not in TERMINAL
    runs, succeeded = task.state is State.RUNNING, task.state is State.SUCCEEDED
    return Stored(
        task_id=task.task_id,
        type=task.type,
        state=task.state,
        priority=task.priority,
        digest=task.digest,
        position=place,
        submitted_at=task.submitted_at,
        updated_at=task.updated_at,
        shard=schema.shard(task.task_id, shards),
        due=task.due_at,
        alone=copy.alone,
        own_retries=copy.own.max_retries,
        own_timeout=copy.own.timeout,
        max_retries=task.max_retries,
        timeout=task.timeout,
        number=last.number if last else 0,
        spent=copy.spent,
        attempt_count=task.attempt_count,
        redrive_count=task.redrive_count,
        redrive=task.history[-1].redrive if going else None,
        acts=len(task.history),
        token=copy.token,
        worker=copy.worker,
        started_at=last.started_at if last and (runs or succeeded) else None,
        finished_at=last.finished_at if last and succeeded else None,
        deadline=copy.deadline,
        error=replace(task.error, traceback=None) if task.error else None,
        purged_at=task.purged_at,
        key=task.key,
        carried=task.carried,
        excused=task.excused_count,
        brought=copy.brought,
    )


def _placed(stored: Stored, copy: Copy, now: Micros, patience: Micros) -> Stored:
    """The record with where it stands in `look`, and among the dead letters."""
    if stored.due is not None:
        return replace(stored, **waits(stored, look_at(stored.due, now, patience)))
    if stored.runs:
        return replace(stored, **held(stored, copy.worker or "", copy.token or ""))
    error = dead_letter(copy.record)
    if error is None:
        return stored
    died_at = copy.died_at or 0
    return replace(stored, fingerprint=error.fingerprint, died_at=died_at, **dead(stored, died_at))


def _report(stored: Stored, death: Death) -> Item:
    """A report still to be made, of the payload in force."""
    died = replace(
        stored,
        died_at=death.died_at,
        number=death.number,
        attempt_count=death.attempt_count,
        payload_from=0 if stored.purged_at is not None else stored.payload_from,
    )
    return _numbered(items.report_item(died, 0), 0)
