"""All connections of a server: how many there are, who is idle, and what a second brings."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from starlette.responses import Response

from unlost.api.http.room import Room
from unlost.api.problems import Problem, render

MOST: Final = 2_000
"""Connections at once, unless told otherwise."""

ALIVE: Final = "/livez"

FRESH: Final = 0.25
"""Seconds in which a connection is not called idle: its call is on its way."""

BEYOND: Final = 64
"""Connections that may be too many, to be told so; for more, fresh ones are closed too."""


AHEAD_AT_ONCE: Final = 1
"""Connections that go on to a call which was sent ahead, in one turn of the event loop: what comes
alone is answered between them, and takes several turns."""


class Member(Protocol):
    """A connection."""

    def close_idle(self) -> None:
        """Close, since others come and nothing is under way here."""

    def second(self) -> None:
        """A second has passed."""


class Connections:
    """At most `most` connections: for a new one, the one that has been idle longest is closed.

    `refuse` makes the answer of what is refused before it is a call.

    `alive` are the paths that are answered also where there is no place for another one: the one
    that says whether the service lives, with and without `root_path` in front.
    """

    def __init__(
        self, most: int = MOST, clock: Callable[[], float] = monotonic, *, root_path: str = ""
    ) -> None:
        self.alive = frozenset({ALIVE, root_path + ALIVE})
        self._most = most
        self._clock = clock
        self._all: set[Member] = set()
        self._idle: dict[Member, float] = {}  # and since when; who became so first is first
        self._ahead: deque[Callable[[], None]] = deque()
        self.room = Room()
        self.refuse: Callable[[Problem], Response] = render

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._all)

    @property
    def too_many(self) -> bool:
        return len(self._all) > self._most

    def enter(self, new: Member) -> bool:
        """A connection is made; whether there is a place for it."""
        self._all.add(new)
        if self.too_many and self._idle:
            longest, since = next(iter(self._idle.items()))
            if since <= self._clock() - FRESH or len(self._all) > self._most + BEYOND:
                self.leave(longest)
                longest.close_idle()
        self._idle[new] = self._clock()
        return not self.too_many

    def leave(self, gone: Member) -> None:
        """A connection is no more."""
        self._all.discard(gone)
        self._idle.pop(gone, None)

    def busy(self, one: Member) -> None:
        """A call is under way on a connection."""
        self._idle.pop(one, None)

    def idle(self, one: Member) -> None:
        """No call is under way any more."""
        if one in self._all:
            self._idle[one] = self._clock()

    def go_ahead(self, step: Callable[[], None]) -> None:
        """Have a connection go on to a call that was sent ahead, soon, after others."""
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

    def second(self) -> None:
        """A second has passed."""
        for one in [*self._all]:
            one.second()
        self.room.wake()

    async def run(self) -> None:
        """Let the seconds pass, until cancelled."""
        while True:
            await asyncio.sleep(1)
            self.second()
