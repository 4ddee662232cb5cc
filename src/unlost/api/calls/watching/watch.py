"""Those who watch: one subscription to the ledger's transitions, shared by all of them.

It is opened for the first who watches and closed after the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from unlost.access.caller import EVERYBODY, Caller
from unlost.api.calls.watching.following import Follower, Following
from unlost.api.calls.watching.places import Places
from unlost.api.calls.watching.waiting import REREAD, Waiting
from unlost.api.problems import RETRY_AFTER, Unavailable
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Transition
from unlost.task import TERMINAL
from unlost.telemetry.logs import Log

LOG = Log("unlost.api")

MOST: Final = 1_000
"""Waiters and followers at once, unless told otherwise."""


class Watch:
    """Tells waiters and followers what changes.

    There are `most` of both together, and half as many claims that wait, which have places of their
    own.  `close` ends all.
    """

    def __init__(self, ledger: Ledger, most: int = MOST) -> None:
        self._ledger = ledger
        self._places = Places(most)
        self.claims = Places(most // 2)
        self._following = Following()
        self._waiting = Waiting(ledger)
        self._watching_now = 0
        self._subscription: _Subscription | None = None
        self.closed = asyncio.Event()

    @property
    def watchers(self) -> int:
        """Waiters and followers."""
        return self._places.taken

    def close(self) -> None:
        """Let everyone who watches go."""
        self.closed.set()
        self._waiting.release()

    @asynccontextmanager
    async def follow(
        self, caller: Caller = EVERYBODY, give_up: Callable[[], None] = lambda: None
    ) -> AsyncIterator[Follower]:
        """A reader of everything that happens from now on and is there for the caller; `give_up`
        is called where its place is another key's.

        Raises Unavailable.
        """
        with self._places.place(caller.name, give_up) as place:
            if not place:
                raise Unavailable("too many follow the events or wait", headers=RETRY_AFTER)
            with self._following.follower(caller) as follower:
                async with self._watching():
                    yield follower

    async def until_terminal(
        self, task_id: str, seconds: float, gone: asyncio.Future[None], key: str | None = None
    ) -> None:
        """Return when the task is terminal or unknown, `seconds` have passed, `gone` is done, or
        this is closed; at once where too many wait already."""
        end = asyncio.Event()
        with self._places.place(key, end.set) as place:
            if not place:
                return
            gone.add_done_callback(lambda _: end.set())
            with suppress(TimeoutError), self._waiting.end_of(task_id, end):
                async with asyncio.timeout(seconds), self._watching():
                    if not (self.closed.is_set() or await self._waiting.over(task_id)):
                        await end.wait()
            await self._waiting.turn()

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """With the subscription open, or after a second without it."""
        self._watching_now += 1
        try:
            if self._subscription is None:
                self._subscription = _Subscription(self._ledger, self._spread)
            with suppress(TimeoutError):
                async with asyncio.timeout(REREAD):
                    await self._subscription.live.wait()
            yield
        finally:
            self._watching_now -= 1
            if not self._watching_now and self._subscription is not None:
                self._subscription.end()
                self._subscription = None

    def _spread(self, transitions: Sequence[Transition]) -> None:
        self._following.put(transitions)
        for transition in transitions:
            if transition.state in TERMINAL:
                self._waiting.ended(transition.task_id)


class _Subscription:
    """What changes in the ledger, from when `live` is set until `end`."""

    def __init__(self, ledger: Ledger, spread: Callable[[Sequence[Transition]], None]) -> None:
        self._ledger = ledger
        self._spread = spread
        self.live = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    def end(self) -> None:
        self._reading.cancel()
        del self._reading  # which holds this, too

    async def _read(self) -> None:
        while True:
            try:
                async with self._ledger.transitions() as feed:
                    self.live.set()
                    async for transitions in feed:
                        self._spread(transitions)
            except Exception:
                LOG.warning("api.not_watching", exc_info=True)
            self.live.clear()
            await asyncio.sleep(REREAD)
