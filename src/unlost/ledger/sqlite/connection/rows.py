"""Reading rows: typed as rows of anything, since the schema knows what they hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, cast

import apsw

Row = tuple[Any, ...]
Values = Iterable[Any] | Mapping[str, Any]


def _bound(values: Values) -> Any:
    return values if isinstance(values, Mapping) else tuple(values)


def rows(db: apsw.Connection, sql: str, values: Values = ()) -> list[Row]:
    """The rows of a query, all of them."""
    return cast("list[Row]", db.execute(sql, _bound(values)).fetchall())


def each(db: apsw.Connection, sql: str, values: Values = ()) -> closing[apsw.Cursor]:
    """The rows of a query one by one, within a `with`, for those who may not want them all.

    A query that is not read to its end keeps its snapshot: once another process has written, the
    connection could not write any more, and an error that is raised in the loop would keep the
    query for as long as its traceback is kept.  So it ends with the block.
    """
    return closing(db.execute(sql, _bound(values)))


def first(db: apsw.Connection, sql: str, values: Values = ()) -> Row | None:
    """The first row of a query, or None."""
    return cast("Row | None", db.execute(sql, _bound(values)).fetchone())


def value(db: apsw.Connection, sql: str, values: Values = ()) -> Any:
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
