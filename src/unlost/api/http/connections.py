"""All connections of a server: how many there are, who is idle, and what a second brings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from starlette.responses import Response

from unlost.api.http.room import Room
from unlost.api.problems import Problem, render

MOST: Final = 2_000
"""Connections at once, unless told otherwise."""

FRESH: Final = 0.25
"""Seconds in which a connection is not called idle: its call is on its way."""

BEYOND: Final = 64
"""Connections that may be too many, to be told so; for more, fresh ones are closed too."""


class Member(Protocol):
    """A connection."""

    def close_idle(self) -> None:
        """Close, since others come and nothing is under way here."""

    def second(self) -> None:
        """A second has passed."""


class Connections:
    """At most `most` connections: for a new one, the one that has been idle longest is closed.

    `refuse` makes the answer of what is refused before it is a call.
    """

    def __init__(self, most: int = MOST, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._all: set[Member] = set()
        self._idle: dict[Member, float] = {}  # and since when; who became so first is first
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
