"""Requests that come in small pieces, by many connections: they are read in turns.

Each piece costs the same, however few bytes it has, and what comes by a thousand connections at one
moment is read in one turn of the event loop: a call that comes beside it would wait for all.  So a
connection that drips is not read until its turn, and by then more is there for the same cost.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Final, Protocol

from unlost.api.http.connection.apart import Apart, apart

FEW: Final = 2
"""Pieces of a request that are read as they come, however small: its head and its body may come
apart, and the end of a body in chunks behind it.  Each more is another time that all connections
there are can have what they send read at one moment."""

PIECE: Final = 1024
"""Bytes of a body's piece, on the average, below which it is small."""

EVERY: Final = 0.01
"""Seconds from one turn to the next."""

IN_A_TURN: Final = 10
"""Connections that are read on in a turn, unless there are so many that the last would wait for
longer than a second."""

WITHIN: Final = 1.0
"""Seconds in which it is everybody's turn."""


class Dripping(Apart, Protocol):
    """A connection whose request comes in small pieces."""

    def read_on(self) -> None:
        """It is its turn."""


class Drips:
    """Those that wait for their turn to be read."""

    def __init__(self) -> None:
        self._waiting: deque[Dripping] = deque()
        self._in_a_turn = IN_A_TURN

    def wait(self, one: Dripping) -> None:
        """Have a connection read on after those that wait already."""
        self._waiting.append(one)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(EVERY, self.turn)

    def turn(self) -> None:
        """Read on the first of them."""
        waiting = len(self._waiting)
        self._in_a_turn = max(self._in_a_turn, math.ceil(waiting * EVERY / WITHIN))
        for _ in range(min(waiting, self._in_a_turn)):
            one = self._waiting.popleft()
            apart(one, one.read_on)
        if self._waiting:
            asyncio.get_running_loop().call_later(EVERY, self.turn)
        else:
            self._in_a_turn = IN_A_TURN
