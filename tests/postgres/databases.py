"""Databases for tests: empty ledgers, made once and emptied after each use."""

from __future__ import annotations

from itertools import count
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.conformance.stage import Clock
from tests.postgres.server import Server
from unlost.ledger.postgres import PostgresLedger

# In this order: the dead letters, of which a trigger counts those that go, before those counts.
TABLES = """
SELECT string_agg('DELETE FROM unlost.' || quote_ident(relname), '; ' ORDER BY relname)
FROM pg_class WHERE relnamespace = to_regnamespace('unlost') AND relkind = 'r'
  AND relname NOT IN ('ledger', 'tally', 'effect_secret', 'purged') AND pg_relation_size(oid) > 0
"""

MARKED = "UPDATE unlost.control SET rate = NULL, key_rate = NULL, pull = NULL"  # else no row goes

ANEW = """
UPDATE unlost.tally SET accepted = 0, settled = 0, queued = 0, running = 0, retrying = 0,
  succeeded = 0, dead = 0, cancelled = 0, pinged = 0
  WHERE accepted <> 0 OR settled <> 0 OR queued <> 0 OR running <> 0 OR retrying <> 0
    OR succeeded <> 0 OR dead <> 0 OR cancelled <> 0 OR pinged <> 0
"""

_numbers = count(1)


class Database:
    """A database of a server, and ledgers on it; `drop`, or the end of `with`, gives it back.

    The next one may be the same, emptied: to make one takes longer than most tests.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.name = server.spare.pop() if server.spare else self._new()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    async def ledger(self, clock: Clock | None = None) -> PostgresLedger:
        """A ledger on this database, by the database's clock if none is given."""
        return await PostgresLedger.open(self.url, clock)

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the test's own."""
        return self.server.connect(self.name)

    def drop(self) -> None:
        with self.connect() as db:
            row = db.execute(TABLES).fetchone()
            if row is not None and row[0] is not None:
                db.execute(MARKED)
                db.execute(row[0])
                db.execute(ANEW)
        self.server.spare.append(self.name)

    def _new(self) -> str:
        name = f"test{next(_numbers)}"
        with self.server.connect() as db:
            db.execute(f"CREATE DATABASE {name}")
        return name


def empty(server: Server, name: str) -> str:
    """The URL of a new database without anything in it."""
    with server.connect() as db:
        db.execute(f"DROP DATABASE IF EXISTS {name}")
        db.execute(f"CREATE DATABASE {name}")
    return server.url(name)
