"""A home for a day: its ledger, the process trees on it, and how large it is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

import apsw
import msgspec

from tests.ports import free_port
from tests.postgres.server import Server
from tests.soak.trees import Harm, Tree, new_mark

SOURCE: Final = Path(__file__).parents[2]

SETTINGS: Final[dict[str, Any]] = {
    "workers": 1, "backoff_base": 0.2, "backoff_cap": 2, "attempt_timeout": 30, "grace": 5,
}  # fmt: skip


class Sizes(msgspec.Struct, frozen=True):
    """In bytes: what is on disk without the write-ahead log, what of that is free to be used again,
    and the log."""

    file: int
    free: int
    log: int


class Store(Protocol):
    """Where a ledger lies."""

    name: str
    url: str

    def sizes(self) -> Sizes:
        """How large it is now."""
        ...

    def tables(self) -> dict[str, int]:
        """Bytes of each table with its indexes.  Reads all of an SQLite file."""
        ...

    def close(self) -> None:
        """End what serves it."""
        ...


SQLITE_TABLES: Final = """
SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name)
WHERE aggregate = TRUE GROUP BY tbl_name
"""


class Sqlite:
    """A file."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger.db"
        self.url = f"sqlite:///{self._path}"

    def sizes(self) -> Sizes:
        with self._connected() as db:
            return Sizes(
                file=self._path.stat().st_size,
                free=db.pragma("freelist_count") * db.pragma("page_size"),
                log=self._path.with_name("ledger.db-wal").stat().st_size,
            )

    def tables(self) -> dict[str, int]:
        with self._connected() as db:
            found = db.execute(SQLITE_TABLES).fetchall()
            return {str(name): int(str(size)) for name, size in found}

    @contextlib.contextmanager
    def _connected(self) -> Iterator[apsw.Connection]:
        db = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            yield db
        finally:
            db.close()

    def close(self) -> None:
        """Nothing serves it."""


PG_SIZES: Final = """
SELECT pg_database_size(current_database()), (SELECT sum(size)::bigint FROM pg_ls_waldir())
"""

PG_TABLES: Final = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relnamespace = 'unlost'::regnamespace AND relkind = 'r'
"""


class Postgres:
    """A database on a server of its own."""

    name = "postgres"

    def __init__(self, folder: Path) -> None:
        settings = {"checkpoint_timeout": "5min", "autovacuum_naptime": "20s"}
        self._server = Server(folder, **settings)
        self._server.__enter__()
        self.url = self._server.url()

    def sizes(self) -> Sizes:
        with self._server.connect() as db:
            file, log = db.execute(PG_SIZES).fetchone() or (0, 0)
            return Sizes(file=file, free=0, log=log)

    def tables(self) -> dict[str, int]:
        with self._server.connect() as db:
            return dict(db.execute(PG_TABLES).fetchall())

    def close(self) -> None:
        self._server.remove()


class Home:
    """Three trees on one ledger: `steady` and `pulling` are left alone, so that what grows in a
    process shows; `harmed` is killed, paused and started again."""

    def __init__(self, store: Store, folder: Path, retain: float, random: Random) -> None:
        self.store = store
        self.folder = folder
        self.mark = new_mark()
        ports = free_port(), free_port()
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self._serve = SETTINGS | {"ledger": store.url, "retain": retain}
        self.steady = self._tree("steady", "serve", "handlers", port=ports[0], **self._serve)
        self.harmed = self._tree("harmed", "serve", "harmful", port=ports[1], **self._serve)
        self.trees = [self.steady, self.harmed]
        self.harm = Harm([self.harmed], random)

    async def ready(self) -> None:
        """Start what pulls, once there is where it can; return when all are ready."""
        for tree in self.trees:
            await tree.ready()
        pulling = self._tree("pulling", "worker", "pulled", url=self.urls[0], workers=1, grace=5)
        self.trees.append(pulling)
        await pulling.ready()

    def _tree(self, name: str, role: str, handlers: str, **settings: Any) -> Tree:
        handler = f"bench.day.handlers:{handlers}"
        return Tree(name, role, self.folder, self.mark, path=SOURCE, handler=handler, **settings)

    async def audit(self) -> dict[str, Any]:
        """What `unlost audit` says."""
        command = [sys.executable, "-m", "unlost", "audit", "--ledger", self.store.url, "--json"]
        told = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
        if told.returncode > 1 or not told.stdout:
            raise RuntimeError(f"no audit: {told.stderr.decode()}")
        found: dict[str, Any] = json.loads(told.stdout)
        return found
