"""The keys of the ledger as this process knows them.

All of them are kept here by their hashes, so that a call costs no read.  They are read again before
they are too old to be trusted, and at once where a key comes that is not known.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from unlost.access.keys import HOUR, Key, used
from unlost.awake import within
from unlost.ledger.protocol import Keys, LedgerUnavailable
from unlost.task import SECOND, Micros
from unlost.telemetry.lasting import lasting
from unlost.telemetry.logs import Log
from unlost.telemetry.measuring import LAST_WORD
from unlost.telemetry.seldom import RARELY, Seldom

LOG = Log("unlost.api")

REFRESH_EVERY: Final = 3.0
"""Seconds between two readings, where a process is there all the time."""

FRESH: Final = 10 * SECOND
"""How old what is known may be before a call waits for it to be read again."""

TRUSTED: Final = 20 * SECOND
"""How old it may be while the ledger does not answer.  With the longest wait of a call it is still
less than the minute after which nobody may use a revoked key."""

AGAIN: Final = SECOND
"""How long a key stays unknown before the ledger is asked for it again, whoever brings it."""


class _Sure(msgspec.Struct, frozen=True):
    """A key that was found, and from when to when that is known without a look at anything else:
    what was read stays fresh, no secret ends, and its use is noted for the hour."""

    key: Key
    since: Micros
    until: float


class KnownKeys:
    """The keys by their hashes.

    `clock` is the time of day: a process that was frozen must not trust what it knew before.  `url`
    is the ledger's.  Where a process may be `frozen` for good after any call, uses are noted within
    the call: else they are with what is read next, and at the end.
    """

    def __init__(
        self, ledger: Keys, clock: Callable[[], Micros], url: str, *, frozen: bool = False
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._url = url
        self._frozen = frozen
        self._keys: dict[str, Key] = {}
        self._read_at: Micros | None = None
        self._used: dict[str, Micros] = {}
        self._sure: dict[str, _Sure] = {}  # by hash; of what was read last
        self._unread = Seldom(LOG, "api.keys_not_read")
        self._unreadable = Seldom(LOG, "api.key_unreadable")
        self._reading: asyncio.Task[None] | None = None
        self._told = False  # how the first key is made

    async def find(self, digest: str) -> Key | None:
        """The key that is known by this hash now.  Raises LedgerUnavailable."""
        if (sure := self._surely(digest)) is not None:
            return sure
        if not self._is_younger_than(FRESH):
            try:
                await self.refresh()
            except LedgerUnavailable:
                if not self._is_younger_than(TRUSTED):
                    raise
        if not self._is_younger_than(TRUSTED):  # a reading that began before a pause was joined
            await self.refresh()
        found = self.seen(digest)
        if found is None and not self._is_younger_than(AGAIN):
            await self.refresh()
            found = self.seen(digest)
        if found is not None:
            self._note_use(found, digest)
            if self._frozen:
                await self._bring_uses()
        return found

    def still(self, digest: str) -> bool:
        """Whether a key is known by this hash, and what is known is fresh; `find` asks, where it
        is not."""
        if self._surely(digest) is not None:
            return True
        found = self.seen(digest) if self._is_younger_than(FRESH) else None
        if found is not None:
            self._note_use(found, digest)
        return found is not None

    def _surely(self, digest: str) -> Key | None:
        sure = self._sure.get(digest)
        return sure.key if sure is not None and sure.since <= self._clock() < sure.until else None

    def seen(self, digest: str) -> Key | None:
        """The same as it was known last, however long ago."""
        key = self._keys.get(digest)
        return key if key is not None and key.is_known_by(digest, self._clock()) else None

    @property
    def any_holds(self) -> bool:
        """Whether there is a key at all that somebody may use."""
        return any(key.holds(self._clock()) for key in self._keys.values())

    async def refresh(self) -> None:
        """Read them again; those who wait share one reading.  Raises LedgerUnavailable."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def keep_fresh(self) -> None:
        """Read them again and again, until cancelled; where there is none, say once how the first
        is made.  At the end uses are noted that are not yet, if the ledger answers soon."""
        try:
            await lasting("keys", self._freshen, REFRESH_EVERY)
        finally:
            with suppress(TimeoutError):
                await within(LAST_WORD, self._bring_uses())

    async def _freshen(self) -> None:
        try:
            await self.refresh()
        except LedgerUnavailable as error:
            self._unread.tell(str(error))
        else:
            if not (self._told or self.any_holds):
                LOG.warning("api.no_key", extra={"how": _how_to_make_one(self._url)})
            self._told = True

    async def _read(self) -> None:
        at = self._clock()
        await self._bring_uses()
        keys = await self._ledger.keys()
        for key in keys:
            if not key.secrets:
                self._unreadable.tell(key.name, every=RARELY)
        self._keys = {secret.digest: key for key in keys for secret in key.secrets}
        self._sure = {}
        self._read_at = at

    async def _bring_uses(self) -> None:
        """Have the ledger note uses; what it does not take comes with the next."""
        if not self._used:
            return
        noted = dict(self._used)
        with suppress(LedgerUnavailable):
            await self._ledger.used_keys(noted)
            self._used = {name: at for name, at in self._used.items() if noted.get(name) != at}

    def _is_younger_than(self, age: Micros) -> bool:
        return self._read_at is not None and 0 <= self._clock() - self._read_at < age

    def _note_use(self, key: Key, digest: str) -> None:
        now = self._clock()
        if used(key, now) is not key:
            self._used[key.name] = now
        fresh = -math.inf if self._read_at is None else self._read_at + FRESH
        until = min(fresh, key.known_until(digest), now - now % HOUR + HOUR)
        self._sure[digest] = _Sure(key, now, until)


def _how_to_make_one(ledger: str) -> str:
    """The command that makes a key over this ledger, whose URL may hold a password."""
    scheme, _, rest = ledger.partition("://")
    shown = f"{scheme}://…" if "@" in rest or "?" in rest else ledger
    return f"unlost key create --ledger {shown} --scope submit,read,operate --name NAME"
