#!/usr/bin/env bash
# SQLite 3.54.1 (PyPI: apsw 3.54.1.0), write-ahead log, synchronous=FULL.
#
# What happens: an UPDATE that leaves a row as it was is carried out (`changes()` is 1) and its transaction, begun by
# BEGIN IMMEDIATE, commits without fault, but no page goes to the log and nothing is synced: SQLite compares the new
# record with the one in the page, and leaves a page alone that stays the same.  The log grows only where a byte changes.
#
# What one would guess: that a committed UPDATE of a row has been to the disk, so that `UPDATE probe SET at = 1` tells
# whether the database can still be written.  PostgreSQL writes a new version of the row and its log each time.
# Whom it hurts: who tries by such a statement whether a database is ready, holds a lease, or keeps a marker in it: on a
# full disk it goes on succeeding from the second time on.
# What helps: to change something each time (`SET n = n + 1`).
#
# Seen: log bytes by the first UPDATE to 1: 4120; by the second: 0, though 1 row was changed; by n + 1: 4120.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.54.1.0
cat >"$folder/finding.py" <<'PYTHON'
import pathlib
import sys

import apsw

path = pathlib.Path(sys.argv[1]) / "some.db"
db = apsw.Connection(str(path))
for setting in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
    db.execute(f"PRAGMA {setting}").get
db.execute("CREATE TABLE probe (n INTEGER NOT NULL); INSERT INTO probe VALUES (0)")


def logged(sql):
    """How many bytes of log a transaction writes; it changes one row, by what SQLite says."""
    log = path.with_name("some.db-wal")
    before = log.stat().st_size
    db.execute("BEGIN IMMEDIATE")
    db.execute(sql)
    assert db.changes() == 1
    db.execute("COMMIT")
    took = log.stat().st_size - before
    print(f"{sql}: {took} bytes of log")
    return took


print("SQLite", apsw.sqlite_lib_version())
assert logged("UPDATE probe SET n = 1") > 0
assert logged("UPDATE probe SET n = 1") == 0, "it is otherwise now"
assert logged("UPDATE probe SET n = n + 1") > 0
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
