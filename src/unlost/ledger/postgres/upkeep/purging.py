"""What age does: removing what is big of tasks that are over.

They are found by an index of their own, made where something is ever purged: it would cost every
settlement an entry.  Only the tables' owner may make it.  Without it, all tasks are walked through
by the index of submissions, one round after another.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Final

import psycopg
from psycopg import errors

from unlost.ledger.postgres.connection.connecting import Connection
from unlost.ledger.postgres.connection.faults import first_line, meaning
from unlost.ledger.postgres.connection.lookup import locked_row
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.store import Store
from unlost.ledger.postgres.connection.transaction import NOW, SEQS, Row, Transaction, packed
from unlost.task import Micros
from unlost.telemetry.logs import Log

log = Log("unlost.ledger")

MAKE_INDEX: Final = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS task_purgeable ON unlost.task (updated_at, seq)
WHERE purged_at IS NULL AND state IN ('succeeded', 'cancelled')
"""

DROP_INDEX: Final = "DROP INDEX CONCURRENTLY IF EXISTS unlost.task_purgeable"

INDEX: Final = """
SELECT (SELECT indisvalid FROM pg_catalog.pg_index
        WHERE indexrelid = pg_catalog.to_regclass('unlost.task_purgeable')),
       pg_catalog.pg_has_role(relowner, 'USAGE'), pg_catalog.pg_get_userbyid(relowner)
FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass('unlost.task')
"""

UNTIL_AGAIN: Final = 3_600.0
"""Seconds until it is tried again to make an index that could not be made."""

AT_ONCE: Final = 10_000
"""Tasks that a step of the walk looks at."""

REST: Final = 10
"""How many times as long as a round of the walk took none is begun."""

Place = tuple[Micros, int]
"""Where a task is in the order of submissions."""

START: Final[Place] = (-1, -1)

OLD: Final = """
purged_at IS NULL AND state IN ('succeeded', 'cancelled') AND updated_at < %(before)s
"""

REPORTED: Final = "NOT EXISTS (SELECT FROM unlost.report WHERE report.seq = task.seq OFFSET 0)"

PURGEABLE: Final = f"""
SELECT seq, ctid FROM unlost.task WHERE {OLD} AND {REPORTED}
ORDER BY updated_at, seq LIMIT %(limit)s FOR UPDATE OF task SKIP LOCKED
"""

NEXT: Final = f"""
SELECT submitted_at, seq, {OLD} FROM unlost.task
WHERE (submitted_at, seq) > (%(at)s, %(seq)s) AND submitted_at < %(before)s
ORDER BY submitted_at, seq LIMIT {AT_ONCE}
"""

STILL: Final = f"""
SELECT seq, place FROM json_array_elements_text(%(seqs)s::json) AS one (known)
CROSS JOIN LATERAL {locked_row("task", "one.known::bigint", "FOR UPDATE SKIP LOCKED")} AS task
WHERE {OLD} AND {REPORTED}
"""

REMOVE = (
    f"DELETE FROM unlost.payload WHERE seq = {SEQS}",
    f"DELETE FROM unlost.result WHERE seq = {SEQS}",
    f"DELETE FROM unlost.attempt WHERE seq = {SEQS}",
    f"DELETE FROM unlost.step WHERE seq = {SEQS}",
    f"DELETE FROM unlost.effect WHERE seq = {SEQS}",
    f"UPDATE unlost.act SET payload = NULL WHERE seq = {SEQS} AND payload IS NOT NULL",
    f"UPDATE unlost.task SET purged_at = {NOW}, error_number = NULL, edit = NULL,"  # noqa: ISC004
    " effects = NULL"
    " WHERE ctid = ANY (ARRAY(SELECT json_array_elements_text(%(places)s::json)::tid))",
)


class Purging:
    """The purges of one ledger object."""

    def __init__(self, pool: Pool, store: Store) -> None:
        self._pool = pool
        self._store = store
        self._no_index_until = 0.0
        self._told = False
        self._at = START
        self._spent = 0.0  # seconds on this round
        self._rests_until = 0.0

    async def purge(self, before: Micros, limit: int) -> int:
        """Remove payload, result, attempts, steps and effects of finished tasks; record and
        history stay.

        Raises LedgerUnavailable.
        """
        try:
            async with self._pool.lent(writing=True) as db:
                indexed = await self._see_to_index(db)
        except psycopg.Error as fault:
            raise meaning(fault, committing=True) from fault
        if indexed:
            return await self._store.write(partial(purge, before=before, limit=limit))
        return await self._walk(before, limit)

    async def _see_to_index(self, db: Connection) -> bool:
        """Make the index, beside all traffic; whether it is there."""
        [(valid, is_ours, owner)] = await db.rows(INDEX)
        now = asyncio.get_running_loop().time()
        if valid or now < self._no_index_until:
            return bool(valid)
        why = f"unlost.task belongs to {owner}"
        if is_ours:
            try:
                await _make_index(db, anew=valid is False)  # else whoever made it was interrupted
            except psycopg.Error as fault:
                if db.closed or db.broken:
                    raise
                why = first_line(fault)
            else:
                return True
        if not self._told:
            self._told = True
            cure = f"as {owner}: {' '.join(MAKE_INDEX.split())}"
            log.warning("ledger.no_purge_index", extra={"why": why, "cure": cure})
        self._no_index_until = now + UNTIL_AGAIN
        return False

    async def _walk(self, before: Micros, limit: int) -> int:
        """The same without the index, on with the round that is under way."""
        now = asyncio.get_running_loop().time
        done, at = 0, None if now() < self._rests_until else self._at
        while done < limit and at is not None:
            began = now()
            step = partial(walk, before=before, limit=limit - done, after=at)
            count, at = await self._store.write(step)
            done += count
            self._spent += now() - began
            self._at = at or START
            if at is None:
                self._rests_until, self._spent = now() + REST * self._spent, 0.0
        return done


async def _make_index(db: Connection, *, anew: bool) -> None:
    if db.prepare_threshold is not None:  # behind a pooler, the session would be somebody else's
        await db.execute("SET statement_timeout = 0")
    try:
        if anew:
            await db.execute(DROP_INDEX)
        with contextlib.suppress(errors.UniqueViolation, errors.DuplicateTable):  # by others, too
            await db.execute(MAKE_INDEX)
    finally:
        if db.prepare_threshold is not None and not db.closed:
            await db.execute("RESET statement_timeout")


async def purge(transaction: Transaction, before: Micros, limit: int) -> int:
    """Purge what the index shows; how many."""
    found = await transaction.rows(PURGEABLE, {"before": before, "limit": limit})
    return await _remove(transaction, found)


async def walk(
    transaction: Transaction, before: Micros, limit: int, after: Place
) -> tuple[int, Place | None]:
    """Purge what the next tasks in the order of submissions are; how many, and how far that was:
    None at the end."""
    at, seq = after
    seen = await transaction.rows(NEXT, {"before": before, "at": at, "seq": seq})
    old = [(at, seq) for at, seq, is_old in seen if is_old][:limit]
    whole = len(old) < limit
    values = {"before": before, "seqs": packed([seq for _, seq in old])}
    still = await transaction.rows(STILL, values)
    count = await _remove(transaction, still)
    if not whole:
        return count, old[-1]
    return count, seen[-1][:2] if len(seen) == AT_ONCE else None


async def _remove(transaction: Transaction, found: list[Row]) -> int:
    """Of these tasks, which are locked: each its position and its place."""
    values = {"seqs": packed([seq for seq, _ in found]), "places": packed([at for _, at in found])}
    for sql in REMOVE if found else ():
        await transaction.do(sql, values)
    return len(found)
