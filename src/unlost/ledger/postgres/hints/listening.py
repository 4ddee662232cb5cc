"""Hints between processes on one database: "look now", "this has changed", by LISTEN and NOTIFY.

What this process has to tell goes to those who listen in it at once, and to all others by
`telling.Teller`.  Nothing depends on a hint arriving.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import Final

import msgspec
import psycopg

from unlost.ledger.local_hints import LocalHints
from unlost.ledger.postgres.connection.connecting import Connection, Place, close
from unlost.ledger.postgres.connection.faults import first_line
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.hints.presence import Presence
from unlost.ledger.postgres.hints.session import PATIENCE, stays
from unlost.ledger.postgres.hints.telling import BEGUN, DUE, MOVED, ORIGIN, Teller
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.racing import Race
from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken, covers, heard, joined
from unlost.telemetry.logs import Log

log = Log("unlost.ledger")

POLL: Final = 0.25
"""Seconds that a wait takes at most where nobody can be heard."""

LATER: Final = 0.005
"""Seconds after which who lost the last race follows a hint."""

AFTER_FAULT: Final = 1.0
AFTER_SILENCE: Final = 60.0
MOST_SILENCE: Final = 3_600.0
"""Seconds before it is tried again to listen: after a fault, and where it was not possible, twice
as long each time."""


class Hints:
    """The hints of one database, as one ledger object tells and hears them."""

    def __init__(self, place: Place, pool: Pool) -> None:
        self._place = place
        self._pool = pool
        self._origin = secrets.token_hex(ORIGIN // 2)
        self._local = LocalHints()
        self._teller = Teller(pool, self._origin)
        self._listening: list[asyncio.Task[None]] = []  # the last one does, those before it end
        self._channels: tuple[str, ...] = ()  # that it is about
        self._presence = Presence(pool, self._origin)
        self.race = Race(LATER)
        self._later: list[Woken] = []  # heard, and followed soon
        self._known = asyncio.Event()  # whether others can be heard
        self._deaf = False
        self._told = False
        self._decoder = msgspec.json.Decoder(list[Transition])

    def committed(self, transaction: Transaction) -> None:
        """Tell what a transaction has changed."""
        self._teller.heard = transaction.heard
        if transaction.watched or self._local.watched:
            moved = list(chain.from_iterable(transaction.transitions))
            for transition in moved:
                self._local.publish(transition)
            if transaction.watched:
                self._teller.tell(moved)
        if (types := transaction.woken) is None or types:
            self._local.wake(types)
            if transaction.heard and not covers(transaction.hinted, types):
                self._teller.wake(types)
        if transaction.begun:
            self._local.begin()
            if transaction.heard:
                self._teller.begin()

    def committing(self, transaction: Transaction, types: Woken) -> None:
        """Tell right behind its commit what a transaction will have changed, if that is possible;
        what is not told so `committed` tells."""
        self._teller.wake_behind(transaction, types)

    async def wait(self, seconds: float) -> Woken:
        """Return at a wake-up, one that came since the last wait included, or in `seconds`."""
        self._listen(DUE, MOVED)
        return await self._local.wait(min(seconds, POLL) if self._deaf else seconds)

    async def begun(self, seconds: float) -> None:
        """Return when a redrive has begun, since the last wait for one, or in `seconds`."""
        self._listen(BEGUN)
        await self._local.begun(seconds)

    @asynccontextmanager
    async def transitions(self) -> AsyncIterator[AsyncIterator[list[Transition]]]:
        """What is told from now on.  Raises LedgerUnavailable."""
        self._listen(DUE, MOVED)
        async with self._local.transitions() as feed:
            await self._hear()
            try:
                yield feed
            finally:
                self._presence.watches_not()

    async def close(self) -> None:
        """Tell what waits to be told, and listen no more."""
        for one in self._listening:
            one.cancel()
        if self._listening:
            await asyncio.wait(self._listening)
        await self._presence.hears_not()
        await self._teller.close()

    async def _hear(self) -> None:
        """See that others know of a watcher here, unless they cannot be heard."""
        try:
            async with asyncio.timeout(2 * PATIENCE):
                await self._known.wait()
            await self._presence.watches()
        except (TimeoutError, psycopg.Error) as fault:
            raise LedgerUnavailable(f"PostgreSQL: {first_line(fault)}") from fault

    def _listen(self, *channels: str) -> None:
        """Listen to these, and to what was asked for before: who steps redrives is woken by no
        submit."""
        if not set(channels) <= set(self._channels):
            self._channels += channels
            before = self._listening[-1:]
            for one in before:
                one.cancel()
            self._listening.append(asyncio.create_task(self._keep_listening(before)))

    async def _keep_listening(self, before: Sequence[asyncio.Task[None]]) -> None:
        """Listen for as long as this ledger is open, over as many connections as that takes,
        instead of whoever did `before`."""
        if before:
            await asyncio.wait(before)
        silence = AFTER_SILENCE
        while True:
            pause = AFTER_FAULT
            try:
                db = await self._place.connect()
                try:
                    if await stays(db, self._pool, f"unlost_{self._origin}"):
                        silence = AFTER_SILENCE
                        await self._listen_on(db)
                    else:
                        await self._is_deaf()
                        pause, silence = silence, min(2 * silence, MOST_SILENCE)
                finally:
                    await close(db)
            except (psycopg.Error, LedgerUnavailable, OSError) as fault:
                log.debug("ledger.hints_interrupted", extra={"error": first_line(fault)})
            await asyncio.sleep(pause)

    async def _listen_on(self, db: Connection) -> None:
        """Pass on what comes, to the connection's end."""
        for channel in self._channels:
            await db.execute(f"LISTEN {channel}")
        await self._presence.hears()
        self._deaf = False
        self._known.set()
        self._local.wake()  # whatever was told before
        self._local.begin()
        await db.notified(self._came)

    async def _is_deaf(self) -> None:
        self._deaf = True
        self._known.set()
        await self._presence.hears_not()
        if not self._told:
            self._told = True
            log.warning(
                "ledger.no_listen",
                extra={
                    "detail": "notifications do not arrive, as behind a pooler that lends "
                    f"connections by transaction; looking every {POLL} s instead, and "
                    "/events shows only what this process does"
                },
            )

    def _came(self, channel: str, payload: str) -> None:
        origin, words = payload[:ORIGIN], payload[ORIGIN:]
        if origin == self._origin:
            return
        if channel == MOVED:
            for transition in self._decoder.decode(words):
                self._local.publish(transition)
        elif channel == BEGUN:
            self._local.begin()
        elif wait := self.race.hinted(types := heard(words)):
            self._later.append(types)
            if len(self._later) == 1:
                asyncio.get_running_loop().call_later(wait, self._follow)
        else:
            self._local.wake(types)

    def _follow(self) -> None:
        self._local.wake(joined(self._later))
        self._later.clear()
