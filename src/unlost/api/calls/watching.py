"""Those who watch: one subscription to the ledger's transitions, shared by all of them.

It is opened for the first who watches and closed after the last.  What comes through it are
hints: a waiter looks at the ledger itself before, after, and each second between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import islice
from typing import Final

from unlost.access.caller import EVERYBODY, Caller
from unlost.api.answers.rendering import encode
from unlost.api.openapi.schemas.status import EventBody, LaggedBody
from unlost.api.problems import RETRY_AFTER, Unavailable
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Transition
from unlost.task import TERMINAL, Record
from unlost.telemetry.logs import Log
from unlost.times import rfc3339

LOG = Log("unlost.api")

MOST: Final = 1_000
"""Waiters and followers at once, unless told otherwise."""

BUFFERED: Final = 10_000
"""Events kept for followers who read more slowly than they happen."""

KEPT: Final = 8 * 1024 * 1024
"""Bytes of these."""

PIECE: Final = 16 * 1024
"""Bytes after which a follower gets the next events in another piece: what it does not read takes
no more than that, beside what the connection has taken."""

REREAD: Final = 1.0
"""Seconds after which a waiter looks again though it has heard nothing: hints may be lost."""


Told = tuple[str, bytes]
"""The type of a task, and what is told of it."""


class Recent:
    """The last events, kept once for all followers; each event has a number."""

    def __init__(self, room: int = BUFFERED, size: int = KEPT) -> None:
        self._room = room
        self._size = size
        self._events: deque[Told] = deque()
        self._bytes = 0
        self.first = 0

    @property
    def end(self) -> int:
        """The number of the next event."""
        return self.first + len(self._events)

    def put(self, events: Sequence[Told]) -> None:
        """Add events; the oldest make room for them."""
        self._events.extend(events)
        self._bytes += sum(len(text) for _, text in events)
        while len(self._events) > self._room or self._bytes > self._size:
            self._bytes -= len(self._events.popleft()[1])
            self.first += 1

    def since(self, number: int, size: int) -> list[Told]:
        """Events from this one on: as many as are of about this `size` in bytes."""
        found = []
        for event in islice(self._events, number - self.first, None):
            found.append(event)
            size -= len(event[1])
            if size <= 0:
                break
        return found


class Follower:
    """One reader of the events: where it is in them, and what of them is there for it."""

    def __init__(self, recent: Recent, caller: Caller = EVERYBODY) -> None:
        self._recent = recent
        self._caller = caller
        self._next = recent.end
        self._some = asyncio.Event()

    def tell(self) -> None:
        """There are more events."""
        self._some.set()

    async def take(self, seconds: float) -> bytes:
        """What it has not got yet, a piece at a time, as text of the stream; empty if nothing comes
        within `seconds`.  In place of what is kept no more it learns how many these were."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._some.wait()
        recent = self._recent
        missed = max(0, recent.first - self._next)
        lagged = _event("lagged", LaggedBody(missed)) if missed else b""
        events = recent.since(self._next + missed, PIECE)
        self._next += missed + len(events)
        if self._next == recent.end:
            self._some.clear()
        return lagged + b"".join(text for name, text in events if self._caller.sees(name))


class Watch:
    """Tells waiters and followers what changes.  `watchers` counts both, of whom there are `most`;
    `close` ends all."""

    def __init__(self, ledger: Ledger, most: int = MOST) -> None:
        self._ledger = ledger
        self._most = most
        self._recent = Recent()
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
    async def follow(self, caller: Caller = EVERYBODY) -> AsyncIterator[Follower]:
        """A reader of everything that happens from now on and is there for the caller.

        Raises Unavailable.
        """
        if self.watchers >= self._most:
            raise Unavailable("too many follow the events or wait", headers=RETRY_AFTER)
        follower = Follower(self._recent, caller)
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
        this is closed; at once where too many wait already."""
        if self.watchers >= self._most:
            return
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

    @contextmanager
    def place(self) -> Iterator[bool]:
        """A place among those who wait, if there is one."""
        free = self.watchers < self._most
        self.watchers += free
        try:
            yield free
        finally:
            self.watchers -= free

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
            self._recent.put([(one.type, _event("task", _body(one))) for one in transitions])
            for follower in self._followers:
                follower.tell()
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
