"""From an export into a ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from unlost.ledger.protocol import Records
from unlost.ledger.values import Copy, Verdict
from unlost.moving.document import Sum

BATCH = 500
HEAVIEST = 4 * 1024 * 1024
"""Tasks in one transaction at most, and bytes of their lines (one may be heavier)."""


class OtherTasks(Exception):
    """The ledger holds what is not an earlier part of this export."""


class Conflict(Exception):
    """Another task has this id already."""


@dataclass(slots=True)
class Taken:
    """How far an import has come: tasks that are in, of them those that were there before, and
    bytes of the export that were read."""

    tasks: int = 0
    there: int = 0
    read: int = 0


async def take(
    ledger: Records,
    copies: Iterable[tuple[Copy, int]],
    seen: Sum,
    there: Sum,
    taken: Taken,
    refresh: Callable[[], None],
) -> None:
    """Keep the tasks of an export, in order, in batches, with a `refresh` after each.

    `copies` come with the lengths of their lines and add to `seen`; `there` is what the ledger
    holds.  Raises OtherTasks before anything is kept, Conflict, LedgerUnavailable, and what
    `copies` raises.
    """
    batch: list[Copy] = []
    weight = 0
    for copy, length in copies:
        if seen.tasks <= there.tasks:
            _pass_over(seen, there, taken, length)
            continue
        if batch and (len(batch) >= BATCH or weight + length > HEAVIEST):
            await _keep(ledger, batch, taken, weight)
            refresh()
            batch, weight = [], 0
        batch.append(copy)
        weight += length
    if seen.tasks < there.tasks:
        raise OtherTasks
    if batch:
        await _keep(ledger, batch, taken, weight)


def _pass_over(seen: Sum, there: Sum, taken: Taken, length: int) -> None:
    taken.tasks += 1
    taken.there += 1
    taken.read += length
    if seen.tasks == there.tasks and seen != there:
        raise OtherTasks


async def _keep(ledger: Records, batch: list[Copy], taken: Taken, weight: int) -> None:
    verdicts = await ledger.restore(batch)
    for copy, verdict in zip(batch, verdicts, strict=True):
        if verdict is Verdict.CONFLICT:
            raise Conflict(copy.record.task_id)
        taken.there += verdict is Verdict.REPLAYED
    taken.tasks += len(batch)
    taken.read += weight
