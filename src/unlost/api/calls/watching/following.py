"""Who follows the events: each event is made and kept once, and its followers get it in turn.

There may be a thousand of them, and fifty events a second are fifty thousand things to send then.
So a follower gets what there is when it has its turn, and turns come one after another with a pause
between them, in which whoever else calls is answered: of few followers each has what happens within
milliseconds, of a thousand within a second or two.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final

from unlost.access.caller import EVERYBODY, Caller
from unlost.api.answers.rendering import encode
from unlost.api.openapi.schemas.status import EventBody, LaggedBody
from unlost.ledger.values import Transition
from unlost.times import rfc3339

BUFFERED: Final = 10_000
"""Events kept for followers who read more slowly than they happen."""

KEPT: Final = 8 * 1024 * 1024
"""Bytes of these."""

PIECE: Final = 16 * 1024
"""Bytes after which a follower gets the next events in another piece: what it does not read takes
no more than that, beside what the connection has taken."""

PIECES: Final = 4
"""That a follower may have in one turn, if it reads them."""

PAUSE: Final = 0.001
"""Seconds between two turns."""

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
    """One reader of the events: where it is in them, and what of them is there for it.

    `again` is called once its turn is over and it has not got all.
    """

    def __init__(
        self, recent: Recent, caller: Caller = EVERYBODY, again: Callable[[], None] = lambda: None
    ) -> None:
        self._recent = recent
        self._caller = caller
        self._again = again
        self._next = recent.end
        self._turn = asyncio.Event()
        self._pieces = 0

    @property
    def waits(self) -> bool:
        """Whether it has not got all, and waits for its turn."""
        return self._next < self._recent.end and not self._turn.is_set()

    def tell(self) -> None:
        """It is its turn."""
        self._pieces = PIECES
        self._turn.set()

    async def take(self, seconds: float) -> bytes:
        """What it has not got yet, a piece at a time, as text of the stream; empty if it has no
        turn within `seconds`.  In place of what is kept no more it learns how many these were."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._turn.wait()
        if not self._turn.is_set():
            return b""
        recent = self._recent
        missed = max(0, recent.first - self._next)
        lagged = _event("lagged", LaggedBody(missed)) if missed else b""
        events = recent.since(self._next + missed, PIECE)
        self._next += missed + len(events)
        self._pieces -= 1
        if self._next == recent.end or not self._pieces:
            self._turn.clear()
            if self.waits:
                self._again()
        return lagged + b"".join(text for name, text in events if self._caller.sees(name))


class Following:
    """All followers, and their turns."""

    def __init__(self) -> None:
        self._recent = Recent()
        self._followers: dict[Follower, None] = {}
        self._some_wait = asyncio.Event()
        self._turns: asyncio.Task[None] | None = None

    @contextmanager
    def follower(self, caller: Caller = EVERYBODY) -> Iterator[Follower]:
        """A reader of everything that happens from now on and is there for the caller."""
        one = Follower(self._recent, caller, self._some_wait.set)
        self._followers[one] = None
        if self._turns is None:
            self._turns = asyncio.create_task(self._give_turns())
        try:
            yield one
        finally:
            del self._followers[one]
            if not self._followers and self._turns is not None:
                self._turns.cancel()
                self._turns = None
                self._recent = Recent()  # nobody will read what is kept

    def put(self, transitions: Sequence[Transition]) -> None:
        """This has happened."""
        if self._followers:
            self._recent.put([(one.type, _event("task", _body(one))) for one in transitions])
            self._some_wait.set()

    async def _give_turns(self) -> None:
        while True:
            await self._some_wait.wait()
            self._some_wait.clear()
            for follower in [*self._followers]:
                if follower.waits:
                    follower.tell()
                    await asyncio.sleep(PAUSE)


def _body(change: Transition) -> EventBody:
    return EventBody(change.task_id, change.type, change.state, change.attempt, rfc3339(change.at))


def _event(name: str, body: EventBody | LaggedBody) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + encode(body) + b"\n\n"
