"""From a ledger's URL to the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from unlost.ledger.protocol import Ledger, NotALedger
from unlost.settings import WrongSetting
from unlost.task import Micros

TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
"""What DynamoDB takes as a table's name."""


HOMES = {
    "sqlite": "unlost.ledger.sqlite",
    "dynamodb": "unlost.ledger.dynamodb",
    "postgres": "unlost.ledger.postgres",
    "postgresql": "unlost.ledger.postgres",
}
"""What opens a ledger, by its URL's scheme."""


@runtime_checkable
class InFile(Protocol):
    """A ledger in a file of this machine."""

    @property
    def file(self) -> tuple[int, int]:
        """Which file it is, by device and inode."""
        ...

    def check_file(self) -> None:
        """Raise LedgerGone where the file that was opened is no longer the one at its path."""
        ...

    def free(self) -> int:
        """Bytes that are free for it on its disk.  Raises OSError."""
        ...


def file_of(ledger: Ledger) -> tuple[int, int] | None:
    """Which file a ledger is in; None where it is in none."""
    return ledger.file if isinstance(ledger, InFile) else None


def wall_clock(clock: Callable[[], int] = time.time_ns) -> Micros:
    """Now, by this machine's clock: the one that was there before any module could replace it."""
    return clock() // 1000


def import_home(url: str) -> None:
    """Import what opens the ledger that `url` names, where there is such a thing."""
    home = HOMES.get(url.partition("://")[0])
    if home is not None:
        with contextlib.suppress(ImportError):  # `open_ledger` tells of it
            importlib.import_module(home)


async def open_ledger(
    url: str,
    clock: Callable[[], Micros] = wall_clock,
    *,
    must_exist: bool = False,
    reading: bool = False,
    same: tuple[int, int] | None = None,
) -> Ledger:
    """Open the ledger that `url` names: `sqlite:///relative.db`, `sqlite:////absolute.db`,
    `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, `dynamodb://TABLE`, or `memory://` (this
    process only, gone with it).  PostgreSQL's time is the database's, unless a `clock` is given.

    A ledger that is not there yet is made, unless it `must_exist`; a table never is.  For
    `reading` alone, a file is opened without making anything beside it, and needs no right to
    write; what writes raises LedgerUnavailable then.  `same` is the `file_of` a ledger that must be
    the one in the file.  Raises WrongSetting for a URL that names none, NotALedger where what is
    there is none, LedgerUnavailable where it cannot be reached now.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        shown = "that" if "@" in url else url  # it may hold a password
        raise WrongSetting(f"{shown} is not a ledger's URL, such as sqlite:///unlost.db")
    if scheme == "memory" and not rest:
        if must_exist:
            raise WrongSetting(f"there is nothing in {url}: it lives in one process only")
        from unlost.ledger.memory import MemoryLedger  # noqa: PLC0415 - only what is used

        return MemoryLedger(clock)
    if scheme == "sqlite":
        return await _file(url, rest, clock, must_exist=must_exist, reading=reading, same=same)
    if scheme == "dynamodb":
        return await _table(url, rest, clock, must_exist=must_exist)
    if scheme in ("postgres", "postgresql"):
        return await _database(url, clock, must_exist=must_exist)
    raise WrongSetting(f"{scheme}:// is not a ledger that unlost knows")


async def _file(
    url: str,
    rest: str,
    clock: Callable[[], Micros],
    *,
    must_exist: bool,
    reading: bool,
    same: tuple[int, int] | None,
) -> Ledger:
    from unlost.ledger.sqlite import SqliteLedger  # noqa: PLC0415 - only what is used

    path = sqlite_path(rest)
    if must_exist and not path.exists():
        raise NotALedger(f"{url} does not exist")
    if reading:
        from unlost.ledger.sqlite.read_only import open_to_read  # noqa: PLC0415 - only what is used

        return await asyncio.to_thread(open_to_read, path, clock)
    return await asyncio.to_thread(SqliteLedger, path, clock, same=same, must_exist=must_exist)


async def _table(url: str, name: str, clock: Callable[[], Micros], *, must_exist: bool) -> Ledger:
    check_table(url, name)
    try:
        from unlost.ledger.dynamodb import DynamoLedger  # noqa: PLC0415 - only what is used
    except ModuleNotFoundError as missing:
        raise WrongSetting(f"{url} needs unlost[aws]: {missing}") from None
    ledger = DynamoLedger(name, clock)
    try:
        await ledger.open()
        if not must_exist:  # a service will work on it
            await ledger.check()
    except BaseException:
        await ledger.close()
        raise
    return ledger


def check_table(url: str, name: str) -> None:
    """Raises WrongSetting for a URL that names no table."""
    if not TABLE.fullmatch(name):
        raise WrongSetting(f"{url} names no table; write dynamodb://TABLE")


async def _database(url: str, clock: Callable[[], Micros], *, must_exist: bool) -> Ledger:
    try:
        from unlost.ledger.postgres import PostgresLedger  # noqa: PLC0415 - only what is used
    except ImportError as missing:
        raise WrongSetting(f"postgresql:// needs unlost[postgres]: {missing}") from None
    own = None if clock is wall_clock else clock  # machines differ; the database's is one
    return await PostgresLedger.open(url, own, must_exist=must_exist)


def sqlite_path(rest: str) -> Path:
    """The file that a URL names after `sqlite://`.  Raises WrongSetting."""
    name = rest.removeprefix("/")
    if name == rest or not name or set(name) & set("?#\0") or name == ":memory:":
        raise WrongSetting(f"sqlite://{rest} names no file; write sqlite:///unlost.db")
    return Path(name).absolute()  # SQLite gives names such as "file:x" a meaning of its own
