#!/usr/bin/env bash
# SQLAlchemy 2.1.9, Python 3.11 and later.
#
# What happens: an engine that is lent somebody else's connection (`creator`, StaticPool) with `pool_reset_on_return=None`
# rolls that connection back when it first connects: its dialect asks the server for its properties, and ends with a rollback
# of the connection that it was lent, whatever was going on in it.
#
# What one would guess: with `pool_reset_on_return=None` nothing is rolled back that nobody asked to roll back, as that
# option's documentation speaks of resetting connections.
# Whom it hurts: who gives an engine a connection with an open transaction, so that a session joins work begun elsewhere
# (tests, and outboxes): what was done in it before is gone, without an error.
# What helps: let the engine connect once before the transaction begins.
#
# Seen: one rollback during `connect()`, and the row that was inserted before is gone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "sqlalchemy==2.1.9"
"$folder/venv/bin/python" - <<'PYTHON'
import sqlite3

import sqlalchemy
from sqlalchemy.pool import StaticPool

rollbacks = []


class Lent(sqlite3.Connection):
    def rollback(self):
        rollbacks.append("rollback")
        super().rollback()


lent = sqlite3.connect(":memory:", factory=Lent)
lent.execute("CREATE TABLE done (what TEXT)")
lent.execute("INSERT INTO done VALUES ('before')")  # a transaction is open now
assert lent.in_transaction
engine = sqlalchemy.create_engine(
    "sqlite://", creator=lambda: lent, poolclass=StaticPool, pool_reset_on_return=None
)
with engine.connect() as connection:
    asked = list(rollbacks)
    rows = connection.exec_driver_sql("SELECT count(*) FROM done").scalar()
print(f"SQLAlchemy {sqlalchemy.__version__}: rollbacks while it connected: {len(asked)}; rows left: {rows}")
assert (len(asked), rows) == (1, 0), "it behaves otherwise now"

lent.execute("INSERT INTO done VALUES ('later')")
rollbacks.clear()
with engine.connect() as connection:
    rows = connection.exec_driver_sql("SELECT count(*) FROM done").scalar()
    print(f"connecting again: {len(rollbacks)} rollbacks; rows left: {rows}")
    assert (len(rollbacks), rows) == (0, 1), "it behaves otherwise now"
PYTHON
