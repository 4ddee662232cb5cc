"""From a ledger's URL to the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from unlost.ledger.protocol import Ledger, NotALedger
from unlost.settings import WrongSetting
from unlost.task import Micros


def wall_clock() -> Micros:
    """Now, by this machine's clock."""
    return time.time_ns() // 1000


async def open_ledger(
    url: str, clock: Callable[[], Micros] = wall_clock, *, must_exist: bool = False
) -> Ledger:
    """Open the ledger that `url` names: `sqlite:///relative.db`, `sqlite:////absolute.db`, or
    `memory://` (this process only, gone with it).

    A ledger that is not there yet is made, unless it `must_exist`.  Raises WrongSetting for a
    URL that names none, NotALedger where what is there is none, LedgerUnavailable where it
    cannot be reached now.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise WrongSetting(f"{url} is not a ledger's URL, such as sqlite:///unlost.db")
    if scheme == "memory" and not rest:
        if must_exist:
            raise WrongSetting(f"there is nothing in {url}: it lives in one process only")
        from unlost.ledger.memory import MemoryLedger  # noqa: PLC0415 - only what is used

        return MemoryLedger(clock)
    if scheme == "sqlite":
        from unlost.ledger.sqlite import SqliteLedger  # noqa: PLC0415 - only what is used

        path = _path(rest)
        if must_exist and not path.exists():
            raise NotALedger(f"{url} does not exist")
        return await asyncio.to_thread(SqliteLedger, path, clock)
    if scheme in ("postgres", "postgresql", "dynamodb"):
        raise WrongSetting(f"this version of unlost has no {scheme} ledger yet")
    raise WrongSetting(f"{scheme}:// is not a ledger that unlost knows")


def _path(rest: str) -> Path:
    name = rest.removeprefix("/")
    if name == rest or not name or set(name) & set("?#\0") or name == ":memory:":
        raise WrongSetting(f"sqlite://{rest} names no file; write sqlite:///unlost.db")
    return Path(name).absolute()  # SQLite gives names such as "file:x" a meaning of its own
