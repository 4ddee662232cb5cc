"""All connections of a server: how many there are, who is idle, and what a second brings."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

from starlette.responses import Response

from unlost.api.http.connection.apart import Apart, apart
from unlost.api.http.connection.drips import Drips
from unlost.api.http.connection.room import Room
from unlost.api.http.connection.wide import WideBodies
from unlost.api.problems import Problem, render

MOST: Final = 2_000
"""Connections at once, unless told otherwise."""

ALIVE: Final = "/livez"

TICK: Final = 0.1
"""Seconds between two looks at what has come: so time is told here, since what came while the event
loop was busy has not been read yet, however long that took."""

FRESH: Final = 3
"""Ticks in which a connection is not called idle, since its call is on its way, and in which what
has come until it is its turn is read."""

BODY_WITHIN: Final = 10
"""Ticks after which a body that is not there may be given up for others."""

FAST: Final = 16 * 1024 * TICK
"""Bytes a tick of a body that is not given up for others."""

LOOKED_AT: Final = 50
"""Bodies that are looked at, at most, to find one that is slow."""

BEYOND: Final = 64
"""Connections that may be too many, to be told so; for more, fresh ones are closed too."""


AT_ONCE: Final = 20
"""Connections to which a second passes in one turn of the event loop."""

AHEAD_AT_ONCE: Final = 1
"""Connections that go on to a call which was sent ahead, or which has a large body, in one turn of
the event loop: what comes alone is answered between them, and takes several turns."""


class Member(Apart, Protocol):
    """A connection."""

    def close_idle(self) -> None:
        """Close, since others come and nothing is under way here."""

    def slow(self, ticks: int) -> bool:
        """Whether the client has brought little of a body in so many ticks, up to now."""

    def give_up(self) -> None:
        """Refuse the call whose body has not come, and close."""

    def second(self) -> None:
        """A second has passed."""


class Connections:
    """At most `most` connections: for a new one, the one that has been idle longest is closed, or,
    where none is idle, one whose body comes slowly, or who reads nothing of what it is sent.

    `refuse` makes the answer of what is refused before it is a call.

    `alive` are the paths that are answered also where there is no place for another one: the one
    that says whether the service lives, with and without `root_path` in front.
    """

    def __init__(self, most: int = MOST, *, root_path: str = "") -> None:
        self.alive = frozenset({ALIVE, root_path + ALIVE})
        self._most = most
        self.now = 0  # in ticks
        self.sending = threading.Lock()  # held by who sends from another thread than the loop's
        self.open = True  # whether that may be; to be looked at, and changed, while it is held
        # What comes behind answers by other threads, in the loop.
        self.answered_elsewhere: deque[tuple[Member, Callable[[], None]]] = deque()
        self._all: set[Member] = set()
        self._idle: dict[Member, int] = {}  # and since when; who became so first is first
        self._bodies: dict[Member, int] = {}  # that are not there; who was looked at last is last
        self._unread: dict[Member, None] = {}  # who reads nothing; who stopped first is first
        self._ahead: deque[Callable[[], None]] = deque()
        self.drips = Drips()
        self.room = Room()
        self.wide_bodies = WideBodies()
        self.refuse: Callable[[Problem], Response] = render

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._all)

    @property
    def too_many(self) -> bool:
        return len(self._all) > self._most

    @property
    def crowded(self) -> bool:
        """Whether others wait for what is held of calls: their bodies' room, or turns."""
        return self.room.is_full or self.wide_bodies.wanted

    def enter(self, new: Member) -> bool:
        """A connection is made; whether there is a place for it."""
        self._all.add(new)
        if self.too_many:
            self._make_place()
        self._idle[new] = self.now
        return not self.too_many

    def _make_place(self) -> None:
        longest, since = next(iter(self._idle.items()), (None, 0))
        if longest is not None and since <= self.now - FRESH:
            self.leave(longest)
            apart(longest, longest.close_idle)
        elif (slow := self._slow_body()) is not None:
            self.leave(slow)
            apart(slow, slow.give_up)
        elif self._unread:
            unread = next(iter(self._unread))
            self.leave(unread)
            unread.cut()
        elif longest is not None and len(self._all) > self._most + BEYOND:
            self.leave(longest)
            apart(longest, longest.close_idle)

    def _slow_body(self) -> Member | None:
        """One whose body comes slowly; each look begins where the one before has ended."""
        for one, since in [*islice(self._bodies.items(), LOOKED_AT)]:
            self._bodies[one] = self._bodies.pop(one)
            if one.slow(self.now - since):
                return one
        return None

    def leave(self, gone: Member) -> None:
        """A connection is no more."""
        self._all.discard(gone)
        self._idle.pop(gone, None)
        self._bodies.pop(gone, None)
        self._unread.pop(gone, None)

    def close(self) -> None:
        """From now on no other thread sends, since the sockets may be gone with the loop."""
        with self.sending:
            self.open = False

    def busy(self, one: Member) -> None:
        """A call is under way on a connection."""
        self._idle.pop(one, None)

    def idle(self, one: Member) -> None:
        """No call is under way any more."""
        if one in self._all:
            self._idle[one] = self.now
            self._bodies.pop(one, None)

    def waits_for_body(self, one: Member) -> None:
        """Some of a call's body is still to come."""
        if one in self._all:
            self._bodies.setdefault(one, self.now)

    def was_held_up(self, one: Member, ticks: int) -> None:
        """A body is read on that was not for so long, which was not its client's doing."""
        if one in self._bodies:
            self._bodies[one] += ticks

    def reads(self, one: Member, *, something: bool) -> None:
        """Whether its client reads of what waits for it."""
        if something:
            self._unread.pop(one, None)
        elif one in self._all:
            self._unread.setdefault(one)

    def has_body(self, one: Member) -> None:
        """All of it is there."""
        self._bodies.pop(one, None)

    def go_ahead(self, step: Callable[[], None]) -> None:
        """Have a connection go on to a call, soon, after others."""
        self._ahead.append(step)
        if len(self._ahead) == 1:
            asyncio.get_running_loop().call_soon(self._go_ahead)

    async def turn(self) -> None:
        """Return soon, after others."""
        turn = asyncio.Event()
        self.go_ahead(turn.set)
        await turn.wait()

    def _go_ahead(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(min(AHEAD_AT_ONCE, len(self._ahead))):
            loop.call_soon(self._ahead.popleft())
        if self._ahead:
            loop.call_soon(self._go_ahead)

    def tick(self) -> None:
        """What has come was read once more."""
        self.now += 1
        for _ in range(len(self.answered_elsewhere)):
            apart(*self.answered_elsewhere.popleft())

    def second(self) -> None:
        """A second has passed."""
        for _ in self._second():
            pass

    def _second(self) -> Iterator[None]:
        """A second has passed; others may go between the steps."""
        for number, one in enumerate([*self._all]):
            if number % AT_ONCE == 0:
                yield
            if one in self._all:
                apart(one, one.second)
        self.room.wake()

    async def run(self) -> None:
        """Let the seconds pass, until cancelled."""
        while True:
            for _ in range(round(1 / TICK)):
                await asyncio.sleep(TICK)
                self.tick()
            for _ in self._second():
                await asyncio.sleep(0)
