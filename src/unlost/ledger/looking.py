"""Looking at what a URL names without changing it: no ledger is made, none is migrated."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from unlost.ledger.opening import check_table, sqlite_path
from unlost.ledger.protocol import NotALedger
from unlost.settings import WrongSetting
from unlost.task import SECOND


class Look(msgspec.Struct, frozen=True):
    """What was seen.  `schema` is None where there is no ledger yet, and `newest` is the one of
    this version; a ledger that keeps no such number has None for both.

    `ahead` is how many seconds the ledger's clock is ahead of this machine's; None where it is
    this machine's.  `path` is the file, if it is one, and `is_used` whether it has a lock file,
    which whoever writes it makes.  `faults` keep a service from working there and `notes` do it
    harm, each with what to do about it.
    """

    exists: bool
    schema: int | None = None
    newest: int | None = None
    ahead: float | None = None
    path: Path | None = None
    is_used: bool = True
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether opening it changes nothing."""
        return self.exists and (self.newest is None or self.schema == self.newest)


async def look(url: str, clock: Callable[[], float] = time.time) -> Look:
    """What is at `url`.

    Raises WrongSetting for a URL that names no ledger, NotALedger where what is there is none,
    or there can be none, LedgerUnavailable where it cannot be reached now.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return _file(sqlite_path(rest))
    if scheme in ("postgres", "postgresql"):
        return await _database(url, clock)
    if scheme == "dynamodb":
        return await _table(url, rest)
    if scheme == "memory":
        raise WrongSetting("memory:// lives in one process only; use sqlite:///FILE")
    raise WrongSetting("that is not a ledger's URL, such as sqlite:///unlost.db")


async def _table(url: str, name: str) -> Look:
    """A table is never made."""
    check_table(url, name)
    try:
        from unlost.ledger.dynamodb.connection.calls import Calls  # noqa: PLC0415
        from unlost.ledger.dynamodb.connection.rights import lacking  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise WrongSetting(f"{url} needs unlost[aws]: {missing}") from None
    calls = Calls(name)
    try:
        return Look(exists=True, faults=tuple(await lacking(calls)))
    finally:
        await asyncio.to_thread(calls.close)


def _file(path: Path) -> Look:
    import apsw  # noqa: PLC0415 - only what is used

    from unlost.ledger.sqlite.connection.connecting import version_in  # noqa: PLC0415
    from unlost.ledger.sqlite.connection.faults import meaning  # noqa: PLC0415
    from unlost.ledger.sqlite.files.identity import LOCK  # noqa: PLC0415
    from unlost.ledger.sqlite.files.place import refuse_log_alone, refuse_place  # noqa: PLC0415
    from unlost.ledger.sqlite.migrations import MIGRATIONS  # noqa: PLC0415

    path = path.resolve()  # beside it lie its log and its lock
    refuse_place(path)
    refuse_log_alone(path)
    newest = len(MIGRATIONS)
    if not path.exists() or path.stat().st_size == 0:
        return Look(exists=False, newest=newest, path=path)
    # Without a log nobody has it open: then it can be read without making one.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    name = f"{path.as_uri()}?{mode}"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        with contextlib.closing(apsw.Connection(name, flags=flags)) as db:
            schema = version_in(db, path)
    except apsw.NotADBError:
        raise NotALedger(f"{path} is not an unlost ledger") from None
    except apsw.Error as fault:
        raise meaning(fault) from fault
    is_used = Path(f"{path}{LOCK}").exists()
    return Look(schema is not None, schema, newest, path=path, is_used=is_used)


async def _database(url: str, clock: Callable[[], float]) -> Look:
    try:
        import psycopg  # noqa: PLC0415 - only what is used

        from unlost.ledger.postgres import migrations, preparing  # noqa: PLC0415
        from unlost.ledger.postgres.connection import connecting  # noqa: PLC0415
        from unlost.ledger.postgres.connection.faults import unreachable  # noqa: PLC0415
    except ImportError as missing:
        raise WrongSetting(f"postgresql:// needs unlost[postgres]: {missing}") from None
    place = connecting.Place(url)
    newest = len(migrations.MIGRATIONS)
    try:
        db = await place.connect()
    except psycopg.Error as fault:
        raise unreachable(fault, str(place)) from None
    try:
        before = clock()
        now = await preparing.now(db)
        ahead = now / SECOND - (before + clock()) / 2
        version = await preparing.version(db, str(place))
        faults, notes = await preparing.surroundings(db, version)
    except psycopg.Error as fault:
        raise unreachable(fault, str(place)) from None
    finally:
        await connecting.close(db)
    return Look(version is not None, version, newest, ahead, faults=faults, notes=notes)
