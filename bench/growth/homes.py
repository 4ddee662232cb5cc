"""The ledgers that grow: filled, weighed, and looked at from below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import apsw

from bench import filling
from bench.growth import filling_sqlite
from tests.postgres.databases import Database
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger

EACH: Final = 10
"""Instructions of SQLite's virtual machine between two looks at their number."""

SERVER: Final = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "shared_preload_libraries": "pg_stat_statements",
}
"""What a PostgreSQL server is started with that is to carry millions."""

# Of open tasks nothing is left once they are over but pages that the next ones take.
SIZES: Final = """
SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
WHERE relnamespace = 'unlost'::regnamespace AND relkind = 'r' AND relname <> 'open_task'
"""

BUFFERS: Final = """
SELECT coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND query NOT LIKE '%pg_stat_statements%'
"""


class Home(Protocol):
    """One ledger, of one kind."""

    name: str
    unit: str  # of what steps touch

    async def open(self) -> Ledger:
        """Open it."""
        ...

    def fill(self, over: int, waiting: int, payload: str) -> None:
        """Add tasks that are over and tasks that wait, while nobody has it open."""
        ...

    def used(self) -> int:
        """Bytes of pages in use, without those of open tasks; nobody has it open."""
        ...

    def meter(self, ledger: Ledger) -> Callable[[], int]:
        """Tells how much its steps have touched from now on."""
        ...


class SqliteHome:
    """A ledger in a file."""

    name = "SQLite"
    unit = "instructions"

    def __init__(self, file: Path) -> None:
        self._file = file

    async def open(self) -> Ledger:
        """Open it."""
        return await open_ledger(f"sqlite:///{self._file}")

    def fill(self, over: int, waiting: int, payload: str) -> None:
        """Add tasks past the ledger."""
        filling_sqlite.fill(self._file, over, waiting, payload)

    def used(self) -> int:
        """Pages less those that are free, in bytes."""
        db = apsw.Connection(str(self._file))
        try:
            pages, free = db.pragma("page_count"), db.pragma("freelist_count")
            return int(pages - free) * int(db.pragma("page_size"))
        finally:
            db.close()

    def meter(self, ledger: Ledger) -> Callable[[], int]:
        """Counts the instructions of all its connections."""
        counted = [0]

        def count() -> bool:
            counted[0] += EACH
            return False

        opened: Any = getattr(ledger, "_opened")  # noqa: B009 - the bench looks inside
        for db in opened._connections:
            db.set_progress_handler(count, EACH)
        return lambda: counted[0]


class PostgresHome:
    """A ledger in a database of a server started with SERVER."""

    name = "PostgreSQL"
    unit = "buffers"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> Ledger:
        """Open it."""
        return await self._database.ledger()

    def fill(self, over: int, waiting: int, payload: str) -> None:
        """Add tasks past the ledger."""
        with self._database.connect() as db:
            filling.fill(db, over, payload, waiting)

    def used(self) -> int:
        """Sizes of all tables with their indexes, in bytes, after a vacuum."""
        with self._database.connect() as db:
            db.execute("VACUUM (ANALYZE)")
            (size,) = db.execute(SIZES).fetchone() or (0,)
            return int(size)

    def meter(self, ledger: Ledger) -> Callable[[], int]:
        """Counts the buffers of all its statements."""
        del ledger
        with self._database.connect() as db:
            db.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

        def count() -> int:
            with self._database.connect() as db:
                (touched,) = db.execute(BUFFERS).fetchone() or (0,)
                return int(touched)

        return count
