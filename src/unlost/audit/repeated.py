"""Effects that happened more than once, and after what: from what handlers declared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Final, Protocol

import msgspec

from unlost.effects import Effect
from unlost.ledger import protocol
from unlost.ledger.values import Declared, Part
from unlost.task import Attempt, Event, Outcome, Record
from unlost.times import rfc3339

AT_ONCE: Final = 1_000
"""Effects that are read at once."""


class Effects(protocol.Effects, protocol.Tasks, Protocol):
    """What is read of a ledger."""


class Happened(msgspec.Struct, frozen=True, omit_defaults=True):
    """An effect, once: in which attempt, and how that has ended (None: it runs, or is not known any
    more).  `redriven`: the task was redriven between the time before and this one."""

    attempt: int
    at: str
    outcome: Outcome | None = None
    error: str | None = None
    redriven: bool = False


class Repeated(msgspec.Struct, frozen=True, rename="camel"):
    """An effect of a task that happened more than once."""

    task_id: str
    type: str
    name: str
    times: int
    happened: list[Happened]


async def declared(ledger: protocol.Effects) -> AsyncIterator[Declared]:
    """All effects, those of each task together.  Raises LedgerUnavailable."""
    cursor: str | None = None
    while True:
        page = await ledger.list_effects(cursor, AT_ONCE)
        for one in page.effects:
            yield one
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


async def repeated(ledger: Effects) -> AsyncIterator[Repeated]:
    """The effects that happened more than once, task by task.  Raises LedgerUnavailable."""
    task_id, effects = "", list[Effect]()
    async for one in declared(ledger):
        if one.task_id != task_id:
            for found in await _of_task(ledger, task_id, effects):
                yield found
            task_id, effects = one.task_id, []
        effects.append(one.effect)
    for found in await _of_task(ledger, task_id, effects):
        yield found


async def _of_task(ledger: Effects, task_id: str, effects: Sequence[Effect]) -> list[Repeated]:
    names: dict[str, list[Effect]] = {}
    for effect in effects:
        names.setdefault(effect.name, []).append(effect)
    twice = {name: found for name, found in names.items() if len(found) > 1}
    if not twice:
        return []
    record = await ledger.get(task_id, (Part.ATTEMPTS, Part.HISTORY))
    return [] if record is None else [_repeated(record, *one) for one in twice.items()]


def _repeated(record: Record, name: str, found: Sequence[Effect]) -> Repeated:
    attempts = {attempt.number: attempt for attempt in record.attempts}
    redrives = [act.at for act in record.history if act.event is Event.REDRIVE]
    happened = [_happened(found[0], attempts)]
    for before, effect in pairwise(found):
        between = any(before.at <= at <= effect.at for at in redrives)
        happened.append(_happened(effect, attempts, redriven=between))
    return Repeated(record.task_id, record.type, name, len(found), happened)


def _happened(effect: Effect, attempts: dict[int, Attempt], *, redriven: bool = False) -> Happened:
    attempt = attempts.get(effect.attempt)
    error = None if attempt is None or attempt.error is None else attempt.error.type
    outcome = None if attempt is None else attempt.outcome
    return Happened(effect.attempt, rfc3339(effect.at), outcome, error, redriven)
