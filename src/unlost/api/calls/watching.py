"""Those who watch: one subscription to the ledger's transitions, shared by all of them.

It is opened for the first who watches and closed after the last.  What comes through it are
hints: a waiter looks at the ledger itself before, after, and each second between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from unlost.api.answers.rendering import encode
from unlost.api.openapi.schemas.status import EventBody, LaggedBody
from unlost.api.problems import RETRY_AFTER, Unavailable
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Transition
from unlost.task import TERMINAL, Record
from unlost.telemetry import Log
from unlost.times import rfc3339

LOG = Log("unlost.api")

MOST_FOLLOWERS: Final = 1_000
BUFFERED: Final = 10_000
"""Events kept for one follower who reads more slowly than they happen."""

REREAD: Final = 1.0
"""Seconds after which a waiter looks again though it has heard nothing: hints may be lost."""


class Follower:
    """What one reader of the events has not got yet; what does not fit is only counted."""

    def __init__(self, room: int = BUFFERED) -> None:
        self._room = room
        self._events: deque[bytes] = deque()
        self._dropped = 0
        self._some = asyncio.Event()

    def put(self, events: Sequence[bytes]) -> None:
        """Add events, as far as there is room."""
        fitting = events[: self._room - len(self._events)]
        self._events.extend(fitting)
        self._dropped += len(events) - len(fitting)
        self._some.set()

    async def take(self, seconds: float) -> bytes:
        """All that there is, as text of the stream; empty if nothing comes within `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._some.wait()
        self._some.clear()
        lagged = _event("lagged", LaggedBody(self._dropped)) if self._dropped else b""
        text = b"".join(self._events) + lagged
        self._events.clear()
        self._dropped = 0
        return text


class Watch:
    """Tells waiters and followers what changes.  `watchers` counts both; `close` ends all."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._followers: set[Follower] = set()
        self.watchers = 0
        self._subscription: _Subscription | None = None
        self.closed = asyncio.Event()

    def close(self) -> None:
        """Let everyone who watches go."""
        self.closed.set()
        for waiters in self._waiters.values():
            for changed in waiters:
                changed.set()

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[Follower]:
        """A reader of everything that happens from now on.  Raises Unavailable."""
        if len(self._followers) >= MOST_FOLLOWERS:
            raise Unavailable("too many follow the events", headers=RETRY_AFTER)
        follower = Follower()
        self._followers.add(follower)
        try:
            async with self._watching():
                yield follower
        finally:
            self._followers.discard(follower)

    async def until_terminal(
        self, task_id: str, seconds: float, gone: asyncio.Future[None]
    ) -> None:
        """Return when the task is terminal or unknown, `seconds` have passed, `gone` is done, or
        this is closed."""
        changed = asyncio.Event()
        gone.add_done_callback(lambda _: changed.set())
        self._waiters.setdefault(task_id, set()).add(changed)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds), self._watching():
                    while not (gone.done() or self.closed.is_set()):
                        changed.clear()
                        if _at_its_end(await self._ledger.get(task_id, ())):
                            return
                        await _heard(changed)
        finally:
            self._waiters[task_id].discard(changed)
            if not self._waiters[task_id]:
                del self._waiters[task_id]

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """With the subscription open, or after a second without it."""
        self.watchers += 1
        try:
            if self._subscription is None:
                self._subscription = _Subscription(self._ledger, self._spread)
            await _heard(self._subscription.live)
            yield
        finally:
            self.watchers -= 1
            if not self.watchers and self._subscription is not None:
                self._subscription.end()
                self._subscription = None

    def _spread(self, transitions: Sequence[Transition]) -> None:
        if self._followers:
            events = [_event("task", _body(transition)) for transition in transitions]
            for follower in self._followers:
                follower.put(events)
        for transition in transitions:
            if transition.state in TERMINAL:
                for changed in self._waiters.get(transition.task_id, ()):
                    changed.set()


class _Subscription:
    """What changes in the ledger, from when `live` is set until `end`."""

    def __init__(self, ledger: Ledger, spread: Callable[[Sequence[Transition]], None]) -> None:
        self._ledger = ledger
        self._spread = spread
        self.live = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    def end(self) -> None:
        self._reading.cancel()

    async def _read(self) -> None:
        while True:
            try:
                async with self._ledger.transitions() as feed:
                    self.live.set()
                    async for transitions in feed:
                        self._spread(transitions)
            except (LedgerUnavailable, OSError):
                LOG.warning("api.not_watching", exc_info=True)
            self.live.clear()
            await asyncio.sleep(REREAD)


async def _heard(event: asyncio.Event) -> None:
    """Wait for an event, but not longer than a second."""
    with suppress(TimeoutError):
        async with asyncio.timeout(REREAD):
            await event.wait()


def _at_its_end(record: Record | None) -> bool:
    return record is None or record.state in TERMINAL


def _body(change: Transition) -> EventBody:
    return EventBody(change.task_id, change.type, change.state, change.attempt, rfc3339(change.at))


def _event(name: str, body: EventBody | LaggedBody) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + encode(body) + b"\n\n"
