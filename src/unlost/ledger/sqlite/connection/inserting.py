"""Inserting many rows with few statements.

While a statement runs, the interpreter is another thread's: the event loop reads the next tasks
meanwhile.  A statement a row hands it to and fro for each, and waits for it each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Final

import apsw

from unlost.ledger.sqlite.connection.rows import Row

TOGETHER: Final = 64
"""Rows that one statement inserts."""


def insert(db: apsw.Connection, sql: str, rows: Sequence[Row]) -> None:
    """Insert rows in order; `sql` inserts one: `INSERT … VALUES (…) …`."""
    whole = len(rows) - len(rows) % TOGETHER
    for start in range(0, whole, TOGETHER):
        values = chain.from_iterable(rows[start : start + TOGETHER])
        db.execute(_of_many(sql), tuple(values))
    if whole < len(rows):
        db.executemany(sql, rows[whole:])


@cache
def _of_many(sql: str) -> str:
    head, values, rest = sql.partition("VALUES ")
    row, end, tail = rest.partition(")")
    return head + values + ", ".join([row + end] * TOGETHER) + tail
