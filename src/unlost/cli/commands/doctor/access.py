"""Who could get in: whether calls need a key, and who has one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from unlost.access.auth import Auth, is_loopback
from unlost.access.keys import Key
from unlost.cli.commands.doctor.finding import Finding, note, ok
from unlost.cli.text import counted, one_line
from unlost.ledger.looking import Look
from unlost.ledger.opening import open_ledger, wall_clock
from unlost.ledger.protocol import LedgerUnavailable, NotALedger
from unlost.settings import Settings

MOST_NAMED = 10


def access(given: Settings, seen: Look | None) -> Finding:
    """Who could call a service with these settings, over the ledger that was seen."""
    match given.access:
        case Auth.UNWRITTEN:
            told = "whoever is on this machine needs no key; what a proxy hands on is refused"
            return ok("access", f"{told} (--auth keys asks for keys)")
        case Auth.NONE:
            told = f"whoever reaches {given.host} needs no key, for --auth is none"
            return (ok if is_loopback(given.host) else note)("access", told)
    if seen is None or not seen.is_current:
        return note("access", "nobody: there is no key yet; `unlost key create` makes one")
    try:
        keys = asyncio.run(_keys(given.ledger, reading=not seen.is_used))
    except (LedgerUnavailable, NotALedger):
        return note("access", "whoever has a key; which there are could not be read")
    return _told([key for key in keys if key.holds(wall_clock())])


def _told(keys: Sequence[Key]) -> Finding:
    if not keys:
        return note("access", "nobody: there is no key yet; `unlost key create` makes one")
    named = "; ".join(map(_named, keys[:MOST_NAMED]))
    more = f"; and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else ""
    return ok("access", f"who has one of {counted(len(keys), 'key')}: {named}{more}")


def _named(key: Key) -> str:
    types = "" if key.types is None else f" of {', '.join(key.types)}"
    return one_line(f"{key.name} may {', '.join(sorted(key.scopes))}{types}")


async def _keys(url: str, *, reading: bool) -> list[Key]:
    ledger = await open_ledger(url, must_exist=True, reading=reading)
    try:
        return await ledger.keys()
    finally:
        await ledger.close()
