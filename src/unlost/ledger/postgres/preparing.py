"""How a database is prepared for a ledger, or refused."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from psycopg import errors

from unlost.ledger.postgres.connection import defaults, rights
from unlost.ledger.postgres.connection.connecting import Connection
from unlost.ledger.postgres.connection.faults import LACKS_A_RIGHT, READ_ONLY
from unlost.ledger.postgres.connection.locks import MIGRATING, lock
from unlost.ledger.postgres.migrations import COMPATIBLE, MIGRATIONS
from unlost.ledger.postgres.upkeep.vacuuming import held_open
from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit, NotALedger
from unlost.task import Micros
from unlost.telemetry.logs import Log

OLDEST_SERVER: Final = 140_000

STAMP: Final = """
INSERT INTO unlost.ledger (version, compatible) VALUES (%s, %s)
ON CONFLICT (one) DO UPDATE SET version = excluded.version, compatible = excluded.compatible
"""

# Asked of the catalogue itself: what resolves a name may go by what it remembers of before.
HAVE: Final = """
SELECT pg_catalog.count(DISTINCT n.oid) > 0, pg_catalog.bool_or(c.relname = 'ledger') IS TRUE,
       pg_catalog.count(c.oid) > 0
FROM pg_catalog.pg_namespace AS n LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
WHERE n.nspname = 'unlost'
"""

FACTS: Final = """
SELECT pg_catalog.current_setting('server_version_num')::integer,
       pg_catalog.current_setting('server_encoding'), pg_catalog.current_setting('fsync'),
       pg_catalog.pg_is_in_recovery()
"""

NOW: Final = "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint"

# Older workers queue behind a lock that is waited for: as long as a dump or a forgotten transaction
# has the tables, it must not be waited for much longer than they have patience.  But an autovacuum,
# which may take hours, is ended by the server for who has waited for `deadlock_timeout`, a second
# if nothing else is set: who waits no longer than that waits in vain.
BEGIN: Final = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL idle_in_transaction_session_timeout = '30s';
SET LOCAL statement_timeout = 0;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL default_table_access_method = heap;
SELECT set_config('lock_timeout', (least(setting::integer, 3000) + 500)::text, true)
FROM pg_settings WHERE name = 'deadlock_timeout';
"""

PAUSE: Final = 2.0
"""Seconds between two tries to change the tables, in which whoever waits for them gets on."""

TRIED_FOR: Final = 120.0
"""Seconds after which nobody tries any more to change the tables while others hold them."""

log = Log("unlost.ledger")


async def prepare(db: Connection, place: str, *, must_exist: bool) -> None:
    """Bring the database to this version, or refuse it; `place` is how messages name it.

    Unless it `must_exist`, it is for a service: then all that a service does must be possible.
    Raises NotALedger, LedgerUnavailable.
    """
    found = await version(db, place)
    if found is None and must_exist:
        raise NotALedger(f"{place} holds no ledger")
    current = found is not None and found >= len(MIGRATIONS)
    if not (current and must_exist):
        await _refuse_unfit(db, place, found)
    if current:
        return
    try:
        await _migrate_once_free(db, place)
    except errors.InsufficientPrivilege as fault:
        said = f"{place} cannot be prepared: {fault.diag.message_primary}"
        raise LedgerUnfit(said, words=LACKS_A_RIGHT) from None


async def _refuse_unfit(db: Connection, place: str, found: int | None) -> None:
    if why := (await defaults.hostile(db.rows)).get(defaults.READ_ONLY):
        raise LedgerUnfit(f"{place} is read-only: {why}", words=READ_ONLY)
    if why := await lacking(db, found):
        raise LedgerUnfit(f"{place}: its role lacks rights; {why}", words=LACKS_A_RIGHT)


async def lacking(db: Connection, found: int | None) -> str | None:
    """What to do so that this role may run a service on the version that was found, None if it
    may.  Raises psycopg.Error."""
    if found is None:
        return await rights.to_make(db.rows)
    if found < len(MIGRATIONS):
        return await rights.to_migrate(db.rows)
    return await rights.to_use(db.rows)


async def surroundings(
    db: Connection, found: int | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What keeps a service from working on the version that was found, and what does it harm.

    Raises psycopg.Error.
    """
    hostile = await defaults.hostile(db.rows)
    read_only = hostile.pop(defaults.READ_ONLY, None)
    why = await lacking(db, found)
    rights_ = None if why is None else f"the role lacks rights; {why}"
    notes = [
        *hostile.values(),
        await rights.to_vacuum(db.rows),
        await held_open(db.rows),
    ]
    return tuple(filter(None, (read_only, rights_))), tuple(filter(None, notes))


async def version(db: Connection, place: str) -> int | None:
    """The version of the ledger that is there, None if there is none.  Changes nothing.

    Raises NotALedger where none can be, LedgerUnavailable.
    """
    server, encoding, fsync, standby = await _one(db, FACTS)
    if server < OLDEST_SERVER:
        raise NotALedger(f"{place} is older than PostgreSQL {OLDEST_SERVER // 10_000}")
    if encoding != "UTF8":
        raise NotALedger(f"{place} is encoded in {encoding}, not in UTF8")
    if fsync != "on":
        raise NotALedger(f"{place} runs with fsync=off: it would lose what it has acknowledged")
    if standby:
        raise LedgerUnavailable(f"{place} is a standby, which can only be read")
    _, ours, taken = await _one(db, HAVE)
    if ours:
        return await _version(db, place)
    if taken:
        raise NotALedger(f"{place} has a schema unlost that is not an unlost ledger's")
    return None


async def now(db: Connection) -> Micros:
    """The ledger's time."""
    return int((await _one(db, NOW))[0])


async def _version(db: Connection, place: str) -> int:
    try:
        found, compatible = await _one(db, "SELECT version, compatible FROM unlost.ledger")
    except errors.InsufficientPrivilege as fault:
        why = await rights.to_use(db.rows) or fault.diag.message_primary
        said = f"{place}: its role lacks rights; {why}"
        raise LedgerUnfit(said, words=LACKS_A_RIGHT) from None
    except (errors.UndefinedColumn, TypeError):
        raise NotALedger(f"{place} has a schema unlost that is not an unlost ledger's") from None
    if compatible > len(MIGRATIONS):
        raise NotALedger(f"{place} was made by a newer version of unlost (schema {found})")
    return int(found)


async def _migrate_once_free(db: Connection, place: str) -> None:
    """Try until nobody holds what is to be changed.  Raises LedgerUnavailable."""
    loop = asyncio.get_running_loop()
    begun, told = loop.time(), False
    while True:
        try:
            return await _migrate(db, place)
        except (errors.LockNotAvailable, errors.DeadlockDetected) as fault:
            await db.execute("ROLLBACK")
            if loop.time() - begun > TRIED_FOR:
                raise LedgerUnavailable(
                    f"{place} cannot be upgraded: other transactions have held its tables for"
                    f" {TRIED_FOR:g} seconds (pg_dump, vacuum, another upgrade, a forgotten BEGIN);"
                    " end them, or start again when they are over"
                ) from fault
        if not told:
            log.warning("ledger.upgrade_waits", extra={"ledger": place, "seconds": TRIED_FOR})
        told = True
        await asyncio.sleep(PAUSE)


async def _migrate(db: Connection, place: str) -> None:
    """Each version's step in one transaction, with all of them; safe to race.

    Where it fails, the connection must be closed.
    """
    await db.execute(BEGIN)
    await db.execute(lock(MIGRATING))
    there, ours, _ = await _one(db, HAVE)
    found = await _version(db, place) if ours else 0
    if found < len(MIGRATIONS):
        if not there:
            await db.execute("CREATE SCHEMA unlost")
        for script in MIGRATIONS[found:]:
            await db.execute(script)
        await db.execute(STAMP, (len(MIGRATIONS), COMPATIBLE))
    await db.execute("COMMIT")


async def _one(db: Connection, sql: str) -> tuple[Any, ...]:
    cursor = await db.execute(sql)
    row = await cursor.fetchone()
    if row is None:
        raise TypeError("no row")
    return row
