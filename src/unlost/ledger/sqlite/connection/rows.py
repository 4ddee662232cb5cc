"""Reading rows: typed as rows of anything, since the schema knows what they hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, cast

import apsw

Row = tuple[Any, ...]


def rows(db: apsw.Connection, sql: str, values: Iterable[Any] = ()) -> Iterator[Row]:
    """The rows of a query, as they are read."""
    return cast("Iterator[Row]", db.execute(sql, tuple(values)))


def first(db: apsw.Connection, sql: str, values: Iterable[Any] = ()) -> Row | None:
    """The first row of a query, or None."""
    return cast("Row | None", db.execute(sql, tuple(values)).fetchone())


def value(db: apsw.Connection, sql: str, values: Iterable[Any] = ()) -> Any:
    """The first column of the first row, or None."""
    row = first(db, sql, values)
    return None if row is None else row[0]


@contextlib.contextmanager
def snapshot(db: apsw.Connection) -> Iterator[None]:
    """What is read within is of one moment."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:  # an error may have ended it
            db.execute("COMMIT")
