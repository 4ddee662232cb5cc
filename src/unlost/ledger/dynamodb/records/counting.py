"""Counting: the sums, from what the table's stream tells of every change of a task.

A transition pays for no counter: who changed a task wrote its record and nothing else.  The
table's stream then brings each change once or more (record before, record after), those of a
task in their order; `apply` folds a batch of them into the sums in one transaction.  So the sums
follow the records by seconds, and are exact once they have caught up.

A change is counted once, in whatever batches it comes again.  Each transaction notes the changes
it counts under the minute of their creation, which the stream keeps with them, and passes over
those that are noted.  The notes outlive the stream's own memory of 24 hours.  This relies on
Lambda's word that two batches of one shard of the stream are not under way at the same moment.

Items, under pk `counts` but for the notes:
  `total#K`        accepted, settled, and the number in each state; the sum over K counts
  `minute#M#K`     accepted: tasks submitted in this minute; settled: what came to its end in it;
                   kept for good, since the audit compares accepted with the records by minute
  pk `seen#M`      the notes: sk is the first change's name, `marks` 8 bytes a change
K only spreads the writes.  A batch costs 2 WCU for each item it touches (mostly a total, one or
two minutes, and a note of 1 KB for 120 changes) and reading its minutes' notes.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.connection.faults import Clash
from unlost.ledger.dynamodb.connection.indexes import last_position
from unlost.ledger.dynamodb.connection.writes import Add, Put, Write
from unlost.ledger.dynamodb.records import waiting
from unlost.ledger.dynamodb.records.folding import (
    ACCEPTED,
    MARK,
    SETTLED,
    Change,
    changes,
    fold,
    parts,
)
from unlost.ledger.dynamodb.schema import COUNTS, LAST
from unlost.ledger.dynamodb.stored.positions import LOW_BITS
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import MINUTE, Cohorts, Counts
from unlost.task import SECOND, Micros, State

LAG: Micros = 120 * SECOND
"""How far the counters are behind the records at most, while all is well."""

SPREAD = 4
TRIES = 5
REMEMBERED = 2 * 24 * 60
"""Minutes for which notes are kept."""


async def apply(calls: Calls, records: Iterable[Mapping[str, Any]]) -> int:
    """Count what the stream brought; how many changes were counted now.

    Safe to repeat after any outcome, with the same records, with fewer or with more.  Raises
    LedgerUnavailable: the records are to be brought again.
    """
    counted = 0
    for part in parts(changes(records)):
        counted += await _apply(calls, part)
    return counted


async def _apply(calls: Calls, part: Sequence[Change]) -> int:
    for _ in range(TRIES):
        seen = await _seen(calls, {change.minute for change in part})
        fresh = {change.name: change for change in part if change.mark not in seen}
        if not fresh:
            return 0
        try:
            await calls.write_together(_writes(list(fresh.values())))
            return len(fresh)
        except Clash:
            continue  # somebody has counted some of them just now
    raise LedgerUnavailable("others count the same changes all the time")


async def _seen(calls: Calls, minutes: Iterable[int]) -> set[bytes]:
    """The marks of the changes of these minutes that were counted already."""
    seen: set[bytes] = set()
    for minute in minutes:
        async for notes in calls.walk(f"seen#{minute}"):
            for note in notes:
                marks = bytes(note["marks"])
                seen.update(marks[at : at + MARK] for at in range(0, len(marks), MARK))
    return seen


def _writes(fresh: Sequence[Change]) -> list[Write]:
    """What counts these changes, and notes that they are."""
    sums = fold(fresh)
    spread = zlib.crc32(fresh[0].name.encode()) % SPREAD
    notes: list[Write] = [_note(minute, fresh) for minute in {c.minute for c in fresh}]
    totals = [Add((COUNTS, f"total#{spread}"), sums.totals)] if sums.totals else []
    return [
        *notes,
        *totals,
        *(Add((COUNTS, f"{_name(at)}#{spread}"), added) for at, added in sums.minutes.items()),
    ]


def _note(minute: int, fresh: Iterable[Change]) -> Put:
    mine = [change for change in fresh if change.minute == minute]
    return Put(
        {
            "pk": f"seen#{minute}",
            "sk": mine[0].name,
            "marks": b"".join(change.mark for change in mine),
            "ttl": (minute + REMEMBERED) * 60,
        },
        only_new=True,
    )


def _name(minute: int) -> str:
    return f"minute#{max(minute, 0):010}"


async def counts(
    calls: Calls, paused: frozenset[str], pulled: frozenset[str], now: Micros
) -> Counts:
    """The counters as they have caught up so far, and what waits now.

    `position` is that of the last task that the index of submissions knows.
    """
    totals = await _totals(calls)
    stand = await waiting.waiting(calls, paused, pulled, now)
    return Counts(
        totals[ACCEPTED],
        totals[SETTLED],
        {state: totals[state] for state in State},
        await last_position(calls),
        stand.unhandled,
        stand.oldest_due,
        stand.workers,
    )


async def _totals(calls: Calls) -> Counter[str]:
    found: Counter[str] = Counter()
    items, _ = await calls.page(COUNTS, low="total#", high="total#" + LAST)
    for item in items:
        found.update({name: item.get(name, 0) for name in (ACCEPTED, SETTLED, *State)})
    return found


async def cohorts(calls: Calls) -> Cohorts:
    """What is counted as accepted so far, by minute; reads 1 RCU for some eighty minutes."""
    newest = (await last_position(calls) >> LOW_BITS) // MINUTE
    accepted: Counter[int] = Counter()
    async for items in calls.walk(COUNTS, low="minute#", high="minute#" + LAST):
        for item in items:
            if ACCEPTED in item:
                accepted[int(item["sk"].split("#")[1])] += item[ACCEPTED]
    return Cohorts(dict(accepted), newest, LAG)


async def rates(calls: Calls, now: Micros) -> tuple[float, float]:
    """Tasks accepted and settled a second, in the newest minute that is counted whole."""
    minute = (now - LAG) // MINUTE
    items, _ = await calls.page(COUNTS, low=_name(minute), high=_name(minute + 1))
    accepted, settled = (sum(item.get(n, 0) for item in items) for n in (ACCEPTED, SETTLED))
    return accepted * SECOND / MINUTE, settled * SECOND / MINUTE
