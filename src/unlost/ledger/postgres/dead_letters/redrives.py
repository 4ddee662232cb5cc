"""Redrives, one row each, with their letters under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import Transaction, packed
from unlost.ledger.protocol import UnknownRedrive
from unlost.ledger.values import RedriveCopy, RedrivePlace, RedriveQuery
from unlost.redrive import LAST, Named, Redrive, RedriveState, begun, moved, stopped
from unlost.task import Micros

decode = msgspec.json.Decoder(Redrive).decode
decode_named = msgspec.json.Decoder(Named).decode

FIND: Final = "SELECT record FROM unlost.redrive WHERE id = %(id)s"

# Each in the order of an index of its own.
LISTED: Final = """
SELECT record FROM unlost.redrive WHERE (started_at, id) < (%(at)s, %(id)s)
ORDER BY started_at DESC, id DESC LIMIT %(limit)s
"""

OF_STATE: Final = """
SELECT record FROM unlost.redrive
WHERE state >= %(state)s AND (state, started_at, id) < (%(state)s, %(at)s, %(id)s)
ORDER BY state DESC, started_at DESC, id DESC LIMIT %(limit)s
"""

OPEN: Final = """
SELECT started_at, id FROM unlost.redrive
WHERE open = 1 AND (started_at, id) > (%(at)s, %(id)s)
ORDER BY open, started_at, id LIMIT %(limit)s
"""

COUNTS: Final = "SELECT state, count(*) FROM unlost.redrive GROUP BY state"

INSERT: Final = """
INSERT INTO unlost.redrive (id, started_at, updated_at, state, open, record, named)
VALUES (%(id)s, %(started_at)s, %(updated_at)s, %(state)s, %(open)s, %(record)s, %(named)s)
ON CONFLICT (id) DO NOTHING RETURNING number
"""

KEEP: Final = """
UPDATE unlost.redrive
SET updated_at = %(updated_at)s, state = %(state)s, open = %(open)s, record = %(record)s
WHERE id = %(id)s
"""

OLD: Final = """
SELECT number FROM unlost.redrive
WHERE started_at < %(before)s AND updated_at < %(before)s AND open IS NULL
ORDER BY started_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""

REMOVE: Final = """
DELETE FROM unlost.redrive WHERE number = ANY (
  ARRAY(SELECT value::bigint FROM json_array_elements_text(%(numbers)s::json)))
"""

ABOVE: Final = """
SELECT number, record, named FROM unlost.redrive WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""

UNDER_WAY: Final = f"""
SELECT one.number::bigint, task.id, it.redrive_count
FROM json_array_elements_text(%(numbers)s::json) AS one (number)
CROSS JOIN LATERAL (
  SELECT * FROM unlost.redriven WHERE redrive BETWEEN one.number::bigint AND one.number::bigint
  ORDER BY redrive, seq OFFSET 0) AS it
CROSS JOIN LATERAL {row("task", "it.seq")} AS task
"""

PUT_UNDER_WAY: Final = """
INSERT INTO unlost.redriven (redrive, seq, redrive_count)
SELECT %(number)s, task.seq, item.count
FROM json_to_recordset(%(items)s::json) AS item (id text, count integer)
CROSS JOIN LATERAL (SELECT seq FROM unlost.task WHERE task.id = item.id OFFSET 0) AS task
"""


async def find(transaction: Transaction, redrive_id: str) -> Redrive | None:
    """The redrive as it is now."""
    found = await transaction.rows(FIND, {"id": redrive_id})
    return decode(found[0][0]) if found else None


async def listed(transaction: Transaction, query: RedriveQuery) -> list[Redrive]:
    """Redrives, newest first."""
    at, redrive_id = query.after or (LAST, "")
    values = {"at": at, "id": redrive_id, "limit": query.limit, "state": query.state}
    found = await transaction.rows(LISTED if query.state is None else OF_STATE, values)
    return [decode(record) for (record,) in found]


async def open_ones(
    transaction: Transaction, limit: int, after: RedrivePlace | None
) -> list[RedrivePlace]:
    """Those that steps may still change, oldest first."""
    at, redrive_id = after or (-1, "")
    values = {"at": at, "id": redrive_id, "limit": limit}
    return [(row[0], row[1]) for row in await transaction.rows(OPEN, values)]


async def counts(transaction: Transaction) -> dict[RedriveState, int]:
    """How many there are in each state."""
    return {RedriveState(state): count for state, count in await transaction.rows(COUNTS)}


async def add(transaction: Transaction, new: Redrive, named: Named) -> tuple[Redrive, bool]:
    """Begin a redrive, unless one has its id: that one."""
    known = await find(transaction, new.id)
    if known is not None:
        return known, False
    redrive = begun(new, transaction.now)
    if await _insert(transaction, redrive, named) is not None:
        transaction.begun = True
        return redrive, True
    return await find(transaction, new.id) or redrive, False


async def _insert(transaction: Transaction, redrive: Redrive, named: Named) -> int | None:
    """Its number, where its id is new."""
    values = {**_columns(redrive), "started_at": redrive.started_at, "named": packed(named)}
    found = await transaction.rows(INSERT, values)
    return int(found[0][0]) if found else None


def _columns(redrive: Redrive) -> dict[str, str | int | None]:
    return {
        "id": redrive.id,
        "updated_at": redrive.updated_at,
        "state": redrive.state.value,
        "open": 1 if redrive.open else None,
        "record": packed(redrive),
    }


async def stop(transaction: Transaction, redrive_id: str, why: str) -> Redrive:
    """Let it take nothing more.  Raises UnknownRedrive."""
    found = await transaction.rows(f"{FIND} FOR UPDATE", {"id": redrive_id})
    if not found:
        raise UnknownRedrive(redrive_id)
    before = decode(found[0][0])
    return await keep(transaction, before, stopped(before, why, transaction.now))


async def keep(transaction: Transaction, before: Redrive, after: Redrive) -> Redrive:
    """Keep what has become of a redrive, whose row is locked."""
    if after != before:
        await transaction.do(KEEP, _columns(after))
    return after


async def purge(transaction: Transaction, before: Micros, limit: int) -> int:
    """Remove those that ended, and were last changed before `before`."""
    old = await transaction.rows(OLD, {"before": before, "limit": limit})
    if old:
        await transaction.do(REMOVE, {"numbers": packed([number for (number,) in old])})
    return len(old)


async def copies(transaction: Transaction, after: str, limit: int) -> list[RedriveCopy]:
    """Redrives by id, with all that is kept of them."""
    found = await transaction.rows(ABOVE, {"after": after, "limit": limit})
    numbers = packed([number for number, _, _ in found])
    under_way: dict[int, list[tuple[str, int]]] = {}
    for number, task_id, count in await transaction.rows(UNDER_WAY, {"numbers": numbers}):
        under_way.setdefault(number, []).append((task_id, count))
    return [
        RedriveCopy(decode(record), decode_named(named), tuple(sorted(under_way.get(number, ()))))
        for number, record, named in found
    ]


async def restore(transaction: Transaction, copies: Sequence[RedriveCopy]) -> None:
    """Keep those that are new."""
    for copy in copies:
        number = await _insert(transaction, moved(copy.redrive), copy.named)
        if number is not None and copy.under_way:
            items = [{"id": task_id, "count": count} for task_id, count in copy.under_way]
            await transaction.do(PUT_UNDER_WAY, {"number": number, "items": packed(items)})
