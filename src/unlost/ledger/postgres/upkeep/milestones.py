"""Milestones, by which lists leap over tasks that cannot be in them, however many these are.

Positions are not quite in the order of submission: of two submits at once, the later one may be the
first to take a position.  At a milestone they are.  It is set while no submit is under way, at the
last position and the latest time of all tasks; whatever is submitted afterwards takes a higher
position, and a time that is no earlier, since none goes back behind what a submit sees.  An import
keeps the tasks' times, and so it removes the milestones that are later (see `copying`).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from unlost.ledger.postgres.connection.locks import COUNTING, lock
from unlost.ledger.postgres.connection.lookup import LAST_SEQ
from unlost.ledger.postgres.connection.store import Store
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.protocol import LedgerUnavailable
from unlost.telemetry.logs import Log

EVERY: Final = 10_000
"""Positions between two milestones: for each, all submits wait until those under way are done."""

AFTER: Final = 1_000
"""Tasks that this process has submitted since it last looked whether it is time for one."""

WITHIN: Final = 1.0
"""Seconds after which one is given up."""

REST: Final = 60.0
"""Seconds for which this process tries no more after one that it gave up: where submits take long
and overlap, all the others would wait most of the time for it."""

PATIENCE: Final = "SELECT pg_catalog.set_config('lock_timeout', '200ms', true)"
"""So long all submits wait at most for one that does not come to its end, at each try."""

FAR: Final = f"""
{LAST_SEQ} >= %(every)s + coalesce((SELECT seq FROM unlost.milestone ORDER BY seq DESC LIMIT 1), 0)
"""

SET: Final = f"""
INSERT INTO unlost.milestone (seq, submitted_at)
SELECT {LAST_SEQ}, submitted_at FROM (
  SELECT submitted_at FROM unlost.task ORDER BY submitted_at DESC, seq DESC LIMIT 1) AS task
WHERE {FAR}
"""

log = Log("unlost.ledger")


class Milestones:
    """Set in the background, as this process submits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._submitted = 0
        self._rests_until = 0.0
        self._running: asyncio.Task[None] | None = None

    def submitted(self, many: int) -> None:
        """Count tasks that were submitted; look whether it is time, if it may be."""
        self._submitted += many
        now = asyncio.get_running_loop().time()
        if self._submitted >= AFTER and self._running is None and now >= self._rests_until:
            self._submitted = 0
            self._running = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            await self._store.write(partial(set_milestone, every=EVERY), WITHIN)
        except LedgerUnavailable as fault:  # nothing but speed hangs on it
            self._rests_until = asyncio.get_running_loop().time() + REST
            log.debug("ledger.no_milestone", extra={"error": str(fault)})
        finally:
            self._running = None

    async def close(self) -> None:
        """End what runs."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])


async def set_milestone(transaction: Transaction, every: int) -> None:
    """Set one, if the last is so far behind."""
    [[far]] = await transaction.rows(f"SELECT {FAR}", {"every": every})
    if far:
        await transaction.do(PATIENCE)
        await transaction.do(lock(COUNTING))
        await transaction.do(SET, {"every": every})
