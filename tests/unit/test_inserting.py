"""Rows that are inserted together are the rows that would be inserted one by one."""

from __future__ import annotations

import apsw
import pytest

from unlost.ledger.sqlite.connection.inserting import TOGETHER, insert

SQL = "INSERT INTO t (id, kind, text) VALUES (?, 'new', ?) ON CONFLICT (id) DO NOTHING"


@pytest.mark.parametrize("count", [0, 1, TOGETHER - 1, TOGETHER, TOGETHER + 1, 3 * TOGETHER + 7])
def test_all_are_there_in_order_and_what_was_there_stays(count: int) -> None:
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, id TEXT UNIQUE, kind TEXT, text TEXT)")
    db.execute("INSERT INTO t VALUES (1, '3', 'old', 'before')")
    rows = [(str(n), f"text {n}") for n in range(count)]
    before = db.total_changes()

    insert(db, SQL, rows)

    new = [(str(n), "new", f"text {n}") for n in range(count) if n != 3]
    found = db.execute("SELECT id, kind, text FROM t ORDER BY n").fetchall()
    assert found == [("3", "old", "before"), *new]
    assert db.total_changes() - before == len(new)
