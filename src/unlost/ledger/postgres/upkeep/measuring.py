"""What processes measured: a row each, and one for all that have ended (see `ledger.measured`)."""

from __future__ import annotations

from typing import Final

from unlost.ledger.measured import SILENT
from unlost.ledger.postgres.connection.locks import MEASURING, lock
from unlost.ledger.postgres.connection.transaction import NOW, Transaction
from unlost.telemetry import measures as m
from unlost.telemetry.measures import Measures

ENDED: Final = "SELECT measures FROM unlost.measured WHERE process = ''"

PUT: Final = f"""
INSERT INTO unlost.measured VALUES ('', {NOW}, %(measures)s)
ON CONFLICT (process) DO UPDATE SET at = excluded.at, measures = excluded.measures
"""

TAKE_SILENT: Final = f"""
DELETE FROM unlost.measured WHERE process <> '' AND at <= {NOW} - {SILENT} RETURNING measures
"""

OPEN: Final = f"""
INSERT INTO unlost.measured VALUES (%(process)s, {NOW}, '{{}}') ON CONFLICT (process) DO NOTHING
"""

PUBLISH: Final = f"""
UPDATE unlost.measured SET at = {NOW}, measures = %(measures)s WHERE process = %(process)s
RETURNING 1
"""

CLOSE: Final = "DELETE FROM unlost.measured WHERE process = %(process)s RETURNING 1"


async def open_row(transaction: Transaction, process: str) -> None:
    """Make an empty row; those of the silent go into the sum."""
    ended = await _ended(transaction)
    silent = [m.decode(row[0]) for row in await transaction.rows(TAKE_SILENT)]
    if silent:
        await _put(transaction, m.total([ended, *silent]))
    await transaction.do(OPEN, {"process": process})


async def publish(transaction: Transaction, process: str, measures: Measures) -> bool:
    """Put these totals in place of the last ones; False where there is no row."""
    ended = await _ended(transaction)
    known, told = m.admitted(ended, measures)
    values = {"process": process, "measures": m.encode(told)}
    if not await transaction.rows(PUBLISH, values):
        return False
    if known != ended:
        await _put(transaction, known)
    return True


async def close_row(transaction: Transaction, process: str, measures: Measures) -> None:
    """Add the last totals to the sum."""
    known, told = m.admitted(await _ended(transaction), measures)
    if await transaction.rows(CLOSE, {"process": process}):
        await _put(transaction, known.plus(told))


async def published(transaction: Transaction) -> Measures:
    """The sum of all rows."""
    found = await transaction.last("SELECT measures FROM unlost.measured")
    return m.total(m.decode(row[0]) for row in found)


async def _ended(transaction: Transaction) -> Measures:
    await transaction.do(lock(MEASURING))
    found = await transaction.rows(ENDED)
    return m.decode(found[0][0]) if found else m.NOTHING


async def _put(transaction: Transaction, ended: Measures) -> None:
    await transaction.do(PUT, {"measures": m.encode(ended)})
