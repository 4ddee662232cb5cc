"""Reports of deaths: leased, then recorded as made, which removes them.

An id is made of the time of death, so that ids order as deaths do; it is unique because the
report is written only where there is none under it.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence

from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash, together
from unlost.ledger.dynamodb.connection.indexes import all_entries, first_entries
from unlost.ledger.dynamodb.connection.writes import Change
from unlost.ledger.dynamodb.schema import REPORT
from unlost.ledger.dynamodb.stored import items
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.values import Report
from unlost.task import Micros

CHANCE_BITS = 11
"""Bits of an id below its microsecond: they keep ids within 63 bits for this century."""

LOOKED_AT = 1_000
"""Index entries of a shard in one page."""


class ReportIds:
    """Ids of reports, each higher than the one before in this process."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: Micros) -> int:
        """An id for a death of now."""
        new = (now << CHANCE_BITS) | secrets.randbits(CHANCE_BITS)
        self._last = max(self._last + 1, new)
        return self._last


async def claim_reports(calls: Calls, limit: int, lease: Micros, now: Micros) -> list[Report]:
    """Lease deaths that are still to be reported, oldest first.  3 WCU each."""
    found = await free(calls, now)
    claimed: list[Report] = []
    while found and len(claimed) < limit:
        wanted = limit - len(claimed)
        some, found = found[:wanted], found[wanted:]
        read = await calls.get_many(schema.report_key(report_id) for report_id in some)
        ready = [item for item in read.values() if item["free_at"] <= now]
        leased = await together(_lease(calls, item, now + lease) for item in ready)
        claimed += await shown(calls, [item for item in leased if item is not None])
    return sorted(claimed, key=lambda report: report.id)


async def free(calls: Calls, now: Micros) -> list[int]:
    """Ids of reports that seem to be free by then: the first of each shard."""
    found = await first_entries(calls, REPORT, LOOKED_AT, high=schema.up_to(now))
    return sorted(schema.report_id(entry["pk"]) for entry in found)


async def unreported(calls: Calls, shards: Iterable[str]) -> list[Item]:
    """All reports still to be made of deaths in these shards, as far as the index knows them."""
    found = await all_entries(calls, [schema.partition(REPORT, shard) for shard in shards])
    return [*(await calls.get_many((entry["pk"], entry["sk"]) for entry in found)).values()]


async def claim_report(calls: Calls, report_id: int, lease: Micros, now: Micros) -> Report | None:
    """Lease this report; None where it was made, or somebody else is at it.  3 WCU."""
    item = await calls.get(schema.report_key(report_id))
    if item is None or item["free_at"] > now:
        return None
    leased = await _lease(calls, item, now + lease)
    return None if leased is None else (await shown(calls, [leased]))[0]


async def _lease(calls: Calls, item: Item, until: Micros) -> Item | None:
    """The report, leased; None where somebody else was quicker."""
    new = {**item, **items.reporting(items.shard_of(item), schema.report_id(item["pk"]), until)}
    try:
        await calls.write(Change(item, new))
    except Clash:
        return None
    return new


async def shown(calls: Calls, found: Sequence[Item]) -> list[Report]:
    """The reports in these items, with what lies beside them."""
    beside = await calls.get_many(key for item in found for key in items.report_keys(item))
    return [items.report(item, beside) for item in found]


async def reported(calls: Calls, report_ids: Collection[int]) -> None:
    """Record that these deaths were reported.  2 WCU each."""
    await calls.delete_many([schema.report_key(report_id) for report_id in report_ids])
