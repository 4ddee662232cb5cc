"""From a path to connections: a database is opened, or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit, NotALedger
from unlost.ledger.sqlite.connection.faults import NO_RIGHT, meaning
from unlost.ledger.sqlite.connection.rows import snapshot, value
from unlost.ledger.sqlite.migrations import MIGRATIONS, migrate
from unlost.ledger.sqlite.schema import APPLICATION_ID

OLDEST_SQLITE = (3, 51, 3)
"""Older ones have the WAL-reset bug (sqlite.org/wal.html#walresetbug)."""


BUSY = 2_000
"""Milliseconds to wait for a stranger (a backup, say) that holds the file's write lock."""


READERS_CACHE, WRITERS_CACHE = 2_000, 16_000
"""KiB of the file that a connection keeps.  A reader's are worth nothing once somebody has written,
and would be full of large texts after a list."""

SYNCED = ("synchronous=FULL", "fullfsync=ON")  # the latter means something on macOS only
"""Every commit is synced before anybody sees it, claims too.  Were one seen earlier and its sync
failed, the system would drop it from the disk, say of the next sync that all is well, and a power
cut would lose that commit and everything acknowledged after it.
"""


def connect(
    path: Path,
    cache: int = READERS_CACHE,
    look: Callable[[Path], None] = lambda _: None,
    *,
    must_exist: bool = False,
) -> apsw.Connection:
    """A connection to the ledger's file, which it makes if there is none, unless it `must_exist`.

    `look` is called before anything is read, and may refuse it.  Raises NotALedger for a file that
    is not this version's, LedgerUnavailable for one that cannot be read now.
    """
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < OLDEST_SQLITE:
        raise NotALedger(f"SQLite {apsw.sqlite_lib_version()} is too old, 3.51.3 is needed")
    with _faults_as_refusals(path):
        db = apsw.Connection(str(path))
        with _closed_on_failure(db):
            look(path)
            _prepare(db, path, cache, must_exist=must_exist)
            return db


def connect_writer(
    path: Path, look: Callable[[Path], None], *, must_exist: bool
) -> apsw.Connection:
    """The same, with the file brought to this version."""
    db = connect(path, WRITERS_CACHE, look, must_exist=must_exist)
    with _faults_as_refusals(path), _closed_on_failure(db):
        migrate(db)
    return db


def connect_to_read(path: Path, mode: str) -> apsw.Connection:
    """A connection that makes and changes nothing; `mode` is SQLite's, of its URIs.

    Raises the same, and LedgerUnfit where SQLite cannot read the file without writing.
    """
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    with _faults_as_refusals(path):
        try:
            db = apsw.Connection(f"{path.as_uri()}?{mode}", flags=flags)
            with _closed_on_failure(db):
                db.set_busy_timeout(BUSY)
                _refuse_strangers(db, path, must_exist=True)
                return db
        except (apsw.CantOpenError, apsw.ReadOnlyError):
            raise LedgerUnfit(
                f"{path} cannot be read with the rights of this account: its log cannot be read, "
                "or not without writing beside it; run this as the account that owns it"
            ) from None


@contextlib.contextmanager
def _faults_as_refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.NotADBError:
        raise NotALedger(f"{path} is not an unlost ledger") from None
    except apsw.CantOpenError:
        raise NO_RIGHT.error(f"{path} cannot be opened") from None
    except apsw.BusyError as fault:
        raise LedgerUnavailable(f"{path} is locked by another program") from fault
    except apsw.Error as fault:
        raise meaning(fault) from fault


@contextlib.contextmanager
def _closed_on_failure(db: apsw.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(apsw.Error):
            db.close()
        raise


def _prepare(db: apsw.Connection, path: Path, cache: int, *, must_exist: bool) -> None:
    db.set_busy_timeout(BUSY)
    _refuse_strangers(db, path, must_exist=must_exist)
    # A new file's own journal is gone from the disk before there is a log: did both come back after
    # a power cut, SQLite would empty the file, and a second cut could leave the log beside that.
    db.execute("PRAGMA synchronous=EXTRA")
    if db.pragma("journal_mode", "wal") != "wal":  # it tells of some failures in no other way
        raise LedgerUnavailable(f"{path} cannot be switched to a write-ahead log")
    for pragma in (*SYNCED, f"cache_size=-{cache}", "temp_store=MEMORY"):
        db.execute("PRAGMA " + pragma)
    db.execute("PRAGMA wal_autocheckpoint=0")


def _refuse_strangers(db: apsw.Connection, path: Path, *, must_exist: bool) -> None:
    if version_in(db, path) is None and must_exist:
        raise NotALedger(f"{path} is empty")


def version_in(db: apsw.Connection, path: Path) -> int | None:
    """The version of the ledger in the file, None where nothing is in it yet.

    Raises NotALedger where something else is, or a newer version.
    """
    with snapshot(db):
        application = db.pragma("application_id")
        version = int(db.pragma("user_version"))
        empty = value(db, "SELECT count(*) FROM sqlite_schema") == 0
    if application == version == 0 and empty:
        return None
    if application != APPLICATION_ID:
        raise NotALedger(f"{path} is not an unlost ledger")
    if version > len(MIGRATIONS):
        raise NotALedger(f"{path} was made by a newer version of unlost (schema {version})")
    return version
