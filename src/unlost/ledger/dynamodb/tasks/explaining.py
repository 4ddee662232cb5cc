"""What decides whether tasks can start, for `unlost.limits.why`.

There is no snapshot of several items: what is set, who is there and what runs is read first, the
tasks themselves once more in the end, so that what has started meanwhile is told to run.

A control, a worker, a slot costs what it costs a claim to read; what is before a task some 1,000
index entries (1 RCU for some sixty) and up to a hundred records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from msgspec.structs import replace

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.attempts import workers
from unlost.ledger.dynamodb.attempts.claiming_by_id import outlasts_functions
from unlost.ledger.dynamodb.connection.calls import Calls, together
from unlost.ledger.dynamodb.connection.indexes import existing, first_entries
from unlost.ledger.dynamodb.controls import slots
from unlost.ledger.dynamodb.controls.pacing import Paces
from unlost.ledger.dynamodb.schema import DUE
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks.reading import find_many, record
from unlost.limits.control import Control
from unlost.limits.why import Alive, Facts, Taken
from unlost.task import Micros

READ: Final = 100
"""Records of tasks before others that are read, at most: some of them run, and the index does not
tell."""

_Slots = Mapping[str, Counter[str]]
"""How many slots of each group are taken, by type."""


async def facts(
    calls: Calls,
    controls: Mapping[str, Control],
    task_ids: Collection[str],
    most_before: int,
    now: Micros,
) -> dict[str, Facts]:
    """What decides whether these tasks can start."""
    first = await find_many(calls, task_ids)
    waiting = [one for one in first.values() if one.due_at is not None]
    alive = tuple(one.alive for one in await workers.enlisted(calls, now)) if waiting else ()
    stand_in = any(one.stand_in for one in alive)
    named = await workers.named(calls, now) if stand_in else set[str]()
    names = {stored.type for stored in waiting} & controls.keys()
    taken = {name: await slots.counted(calls, name) for name in sorted(names)}
    others = await _due(calls, waiting, controls, now, most_before) if most_before else []
    paces = await _paces(calls, controls, waiting, now)
    last = await find_many(calls, task_ids)
    tasks = [_newest(known, last.get(name, known)) for name, known in first.items()]
    found = (_facts(one, controls, taken, alive, others, paces, now) for one in tasks)
    return {one.record.task_id: replace(one, named=_is_left(one, named)) for one in found}


def _is_left(one: Facts, named: Collection[str]) -> bool:
    return one.record.due_at is not None and one.record.type in named


def _newest(first: Stored, last: Stored) -> Stored:
    """A task as it was read last; one that waits only since then as before, when nothing was read
    of what it waits for."""
    return first if first.due_at is None and last.due_at is not None else last


def _facts(
    stored: Stored,
    controls: Mapping[str, Control],
    taken: _Slots,
    alive: tuple[Alive, ...],
    others: list[Stored],
    paces: Mapping[str, Paces],
    now: Micros,
) -> Facts:
    task = record(stored, {}, ())
    if task.due_at is None:
        return Facts(task, now)
    control = controls.get(stored.type)
    by_key = _by_key(control)
    before = sum(
        _is_before(one, stored) and (not by_key or one.key in (None, stored.key)) for one in others
    )
    mine = taken.get(stored.type, Counter[str]())
    numbers = Taken(*(mine[group] for group in _groups(control, stored)))
    pace, mark = paces.get(stored.type), slots.mark(stored)
    free_at = (
        None if pace is None else pace.free_at(None),
        None if pace is None or mark is None else pace.free_at(mark),
    )
    type_free_at, key_free_at = (at if at is not None and at > now else None for at in free_at)
    return Facts(
        task, now, stored.alone, control, numbers, alive, before, type_free_at, key_free_at,
        outlasts_functions(stored),
    )  # fmt: skip


async def _paces(
    calls: Calls, controls: Mapping[str, Control], waiting: Collection[Stored], now: Micros
) -> dict[str, Paces]:
    """The paces of those types of these tasks that have any, whatever else keeps them waiting."""
    paced = {name: one for name, one in controls.items() if one.paced}
    marks = {name: {slots.mark(one) for one in waiting if one.type == name} for name in paced}
    paces = {name: Paces(paced[name], now) for name, some in marks.items() if some}
    await together(one.read(calls, marks[name]) for name, one in paces.items())
    return paces


def _groups(control: Control | None, stored: Stored) -> tuple[str, str, str]:
    """The groups of slots that count for its type, its key and as probes; empty for a limit that
    is not set."""
    if control is None:
        return "", "", ""
    mark, until = slots.mark(stored), control.circuit.until
    return (
        slots.OF_TYPE if control.limit is not None else "",
        slots.of_key(mark) if control.key_limit is not None and mark is not None else "",
        slots.of_probes(until) if control.breaker is not None and until is not None else "",
    )


def _by_key(control: Control | None) -> bool:
    return control is not None and control.by_key


async def _due(
    calls: Calls,
    waiting: Collection[Stored],
    controls: Mapping[str, Control],
    now: Micros,
    most: int,
) -> list[Stored]:
    """Tasks that are due before any of these and in its way, as far as they are looked at."""
    entries = await first_entries(calls, DUE, -(-most // await calls.shards()))
    due = [one for one in entries if one["due"] <= now]
    due.sort(key=lambda one: (-one["priority"], one["due"]))
    before = [
        one
        for one in due
        if any(_seems_before(one, other, _by_key(controls.get(other.type))) for other in waiting)
    ]
    tasks = await existing(calls, before[:READ])
    return [one for one in tasks.values() if one.claimable and (one.due or 0) <= now]


def _seems_before(entry: Item, other: Stored, by_key: bool) -> bool:
    """Whether a task is before another one, as far as its entry in the index tells."""
    alike = (entry["type"], entry.get("alone", False)) == (other.type, other.alone)
    its_key = not by_key or schema.marked(entry["at"]) in (None, slots.mark(other))
    return alike and its_key and (-entry["priority"], entry["due"]) <= _turn(other)[:2]


def _is_before(one: Stored, other: Stored) -> bool:
    alike = (one.type, one.alone) == (other.type, other.alone)
    return alike and one.task_id != other.task_id and _turn(one) < _turn(other)


def _turn(stored: Stored) -> tuple[int, Micros, str]:
    return -stored.priority, stored.due or 0, schema.place(stored.position)
