"""Telling other processes, by NOTIFY: after the commit, at once, in a statement of its own.

Inside the transaction that it speaks of, NOTIFY would hold a lock of the whole server over the
commit.  That of a submit travels with the commit nevertheless, and is done once that is.  Where
nobody is known to hear, nothing is told (`presence`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import psycopg

from unlost.ledger.postgres.connection.faults import first_line
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.transaction import NOBODY, Transaction, packed
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken, joined, told
from unlost.telemetry.logs import Log

log = Log("unlost.ledger")

DUE: Final = "unlost_due"
MOVED: Final = "unlost_moved"
BEGUN: Final = "unlost_begun"  # a redrive has

ORIGIN: Final = 8
"""Characters at the start of each notification that say who sent it."""

APART: Final = 0.004
"""Seconds between two statements that notify; what comes meanwhile goes together."""

LONGEST: Final = 7_900
"""Bytes of a notification; the server takes fewer than 8,000."""

BACKLOG: Final = 50_000
"""Transitions that wait to be told; beyond that the oldest are dropped."""

AT_ONCE: Final = 2_000
"""Transitions told in one transaction."""

# A transaction by itself, whose commit waits for no disk and no standby.
NOTIFY: Final = """
SELECT pg_catalog.set_config('synchronous_commit', 'off', true),
       pg_catalog.set_config('lock_timeout', '2s', true),
       pg_catalog.count(pg_catalog.pg_notify(item.channel, item.words))
FROM pg_catalog.json_to_recordset(%s::pg_catalog.json) AS item (
  channel pg_catalog.text, words pg_catalog.text)
"""


# The same for one that goes behind a commit, when it is not known yet whether anybody still hears.
# The answer to that commit waits for it, but not for long; and what the server warns of, such as
# its queue's being half full, is no warning of that commit.
NOTIFY_BEHIND: Final = f"""
SELECT pg_catalog.set_config('client_min_messages', 'error', true),
       pg_catalog.set_config('synchronous_commit', 'off', true),
       pg_catalog.set_config('lock_timeout', '200ms', true),
       pg_catalog.pg_notify('{DUE}', %s::pg_catalog.text)
WHERE EXISTS (SELECT FROM unlost.watcher
              WHERE until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())
"""


class Notification(msgspec.Struct, frozen=True):
    """What is told on a channel."""

    channel: str
    words: str


class Teller:
    """What one ledger object tells others.  `tell`, `wake` and `begin` never wait."""

    def __init__(self, pool: Pool, origin: str) -> None:
        self._pool = pool
        self._origin = origin
        self._transitions: deque[Transition] = deque(maxlen=BACKLOG)
        self._woken: list[Woken] = []
        self._begun = False
        self._telling: asyncio.Task[None] | None = None
        self._again = 0.0  # when it may be notified again, by the loop's time
        self.heard = False
        """Whether somebody heard, as the last transaction saw it."""

    def wake_behind(self, transaction: Transaction, types: Woken) -> None:
        """Have a transaction tell it right behind its commit, if somebody seems to hear and nothing
        was told just now; otherwise that is left to `wake`."""
        now = asyncio.get_running_loop().time()
        if self.heard and self._telling is None and now >= self._again and types != NOBODY:
            self._again = now + APART
            transaction.behind(NOTIFY_BEHIND, [self._words(types)])
            transaction.hinted = types

    def wake(self, types: Woken) -> None:
        """Tell all workers that something of these types may be due."""
        self._woken = [joined([*self._woken, types])]
        self._start()

    def begin(self) -> None:
        """Tell those who step redrives that one has begun."""
        self._begun = True
        self._start()

    def tell(self, transitions: Sequence[Transition]) -> None:
        """Tell all who watch what has changed, in order."""
        if transitions:
            self._transitions.extend(transitions)
            self._start()

    async def close(self) -> None:
        """Tell what waits to be told."""
        if self._telling is not None:
            await asyncio.wait([self._telling])

    def _start(self) -> None:
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._woken or self._transitions or self._begun:
            if (rest := self._again - loop.time()) > 0:
                await asyncio.sleep(rest)
            self._again = loop.time() + APART
            try:
                await self._send(self._next())
            except (psycopg.Error, LedgerUnavailable, OSError) as fault:
                log.debug("ledger.hints_lost", extra={"error": first_line(fault)})
        self._telling = None

    def _next(self) -> list[Notification]:
        count = min(len(self._transitions), AT_ONCE)
        transitions = [self._transitions.popleft() for _ in range(count)]
        found = [Notification(MOVED, self._origin + words) for words in _pieces(transitions)]
        found += [Notification(DUE, self._words(types)) for types in self._woken]
        found += [Notification(BEGUN, self._origin)] if self._begun else []
        self._woken, self._begun = [], False
        return found

    def _words(self, types: Woken) -> str:
        return self._origin + told(types).decode()

    async def _send(self, notifications: list[Notification]) -> None:
        async with self._pool.lent() as db:
            statements = db.statements()
            statements.send(NOTIFY, [packed(notifications)])
            await statements.exchange(last=True)


def _pieces(transitions: Sequence[Transition]) -> Iterator[str]:
    """Transitions as texts that fit into a notification each."""
    piece: list[str] = []
    size = 0
    for words in map(packed, transitions):
        length = len(words.encode()) + 1
        if piece and size + length > LONGEST - ORIGIN - 2:
            yield f"[{','.join(piece)}]"
            piece, size = [], 0
        piece.append(words)
        size += length
    if piece:
        yield f"[{','.join(piece)}]"
