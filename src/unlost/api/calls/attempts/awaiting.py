"""Claims that wait: one ear for all of them, and a look at what is due before each try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

from unlost.api.calls.watching.watch import Watch
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.limits.control import Claimant
from unlost.task import SECOND, Micros
from unlost.telemetry.logs import Log

LOG = Log("unlost.api")

LONGEST: Final = 1.0
"""Seconds after which a claim looks again without any hint."""

SHORTEST: Final = 0.0005
"""Seconds that it leaves alone what is due and was not to be had, at first."""


class Hint(asyncio.Event):
    """Is set when something may be due, and once the claim is `over`: its client has left, or
    another key has its place."""

    over = False

    def end(self) -> None:
        """Nobody waits here any more."""
        self.over = True
        self.set()


class Awaiting:
    """Wakes the claims that wait as soon as something may be due."""

    def __init__(self, ledger: Ledger, watch: Watch) -> None:
        self._ledger = ledger
        self._watch = watch
        self._waiting: dict[
            Hint, Collection[str]
        ] = {}  # and its claim's types; the longest is first
        self._listening: asyncio.Task[None] | None = None
        self._looks: dict[
            tuple[frozenset[str], bool], asyncio.Task[Micros | None]
        ] = {}  # that have not begun

    @asynccontextmanager
    async def heard(
        self, types: Collection[str], key: str | None, gone: asyncio.Future[None]
    ) -> AsyncIterator[Hint | None]:
        """A hint that is set whenever something of these types may be due, and ends once `gone` is
        done or its place is another key's; None where too many wait already."""
        hint = Hint()
        with self._watch.claims.place(key, hint.end) as place:
            if not place:
                yield None
                return
            gone.add_done_callback(lambda _: hint.end())
            self._waiting[hint] = types
            if self._listening is None:
                self._listening = asyncio.create_task(self._listen())
            try:
                yield hint
            finally:
                del self._waiting[hint]
                if not self._waiting and self._listening is not None:
                    self._listening.cancel()
                    self._listening = None

    async def until_due(
        self, hint: Hint, worker: str, types: Collection[str], until: float, empty: int
    ) -> bool:
        """Whether something may be due for this worker before `until` (the loop's time), once it
        may.

        `empty` tries in a row have found nothing though something was due: others took it, or it
        is not this worker's to take.  So there is a pause first, which no hint begins again.
        """
        loop = asyncio.get_running_loop()
        pause = min(LONGEST, SHORTEST * 2 ** min(empty, 11)) if empty else 0.0
        again = loop.time() + pause
        while not (hint.over or self._watch.closed.is_set()):
            hint.clear()
            left = until - loop.time()
            if left <= 0:
                return False
            wait = max(await self._due_in(worker, types), again - loop.time())
            if wait <= 0:
                return True
            if await _set(hint, min(wait, left, LONGEST)):
                continue
            if wait <= min(left, LONGEST):
                return True
        return False

    async def _due_in(self, worker: str, types: Collection[str]) -> float:
        """Seconds until something may be due: what runs alone only while the worker holds
        nothing."""
        dues = [await self._look(types, alone=alone) for alone in (False, True)]
        if dues[1] is not None and await self._ledger.held(worker):
            dues.pop()
        return min((due / SECOND for due in dues if due is not None), default=float("inf"))

    async def _look(self, types: Collection[str], *, alone: bool) -> Micros | None:
        """How long until something is due; one look for all who ask for it before it begins."""
        key = frozenset(types), alone

        async def look() -> Micros | None:
            del self._looks[key]
            return await self._ledger.due_in(types, alone=alone, claimant=Claimant.PULL)

        if key not in self._looks:
            self._looks[key] = asyncio.create_task(look())
        return await asyncio.shield(self._looks[key])

    async def _listen(self) -> None:
        while True:
            woken = None
            try:
                woken = await self._ledger.wait(LONGEST)
            except LedgerUnavailable:
                await asyncio.sleep(LONGEST)
            except Exception:
                LOG.exception("api.not_listening")  # claims look by themselves, less often
                await asyncio.sleep(LONGEST)
            for hint, types in self._waiting.items():
                if woken is None or not woken.isdisjoint(types):
                    hint.set()


async def _set(hint: asyncio.Event, seconds: float) -> bool:
    """Whether the hint was set within so long."""
    try:
        async with asyncio.timeout(seconds):
            await hint.wait()
    except TimeoutError:
        return False
    return True
