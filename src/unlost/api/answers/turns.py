"""Turns for what may be large: how many bytes of it are in memory at once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from unlost.api.problems import RETRY_AFTER, Unavailable

PATIENCE: Final = 30.0
"""Seconds that an answer waits for its turn."""

TOO_MANY: Final = "too many large answers at once; try again"

_Place = tuple[int, "asyncio.Future[Turn]"]


class Turns:
    """Room for `size` bytes of answers.  Who finds none waits, first come, first served, for so
    many seconds, and is `told` why there was none.

    `freed` is set by large answers that are sent.
    """

    def __init__(
        self,
        size: int,
        freed: asyncio.Event | None = None,
        patience: float = PATIENCE,
        told: str = TOO_MANY,
    ) -> None:
        self._size = size
        self.freed = freed or asyncio.Event()
        self._patience = patience
        self._told = told
        self._left = size
        self._waiting: deque[_Place] = deque()

    @property
    def wanted(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def at_once(self, size: int) -> Turn | None:
        """Room for so many bytes, or None where one has to wait for it."""
        if self._waiting or min(size, self._size) > self._left:
            return None
        return self._take(size)

    async def wait(self, size: int) -> Turn:
        """Room for so many bytes, once it is there.  Raises Unavailable."""
        place: _Place = (size, asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        self._next()
        try:
            async with asyncio.timeout(self._patience):
                return await place[1]
        except TimeoutError:
            self._leave(place)
            raise Unavailable(self._told, headers=RETRY_AFTER) from None
        except BaseException:
            self._leave(place)
            raise

    def give_back(self, size: int) -> None:
        """So many bytes are free again (fewer than before, where negative)."""
        self._left += size
        self._next()

    def _take(self, size: int) -> Turn:
        size = min(size, self._size)
        self._left -= size
        return Turn(self, size)

    def _next(self) -> None:
        while self._waiting and min(self._waiting[0][0], self._size) <= self._left:
            size, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(self._take(size))

    def _leave(self, place: _Place) -> None:
        """Wait no longer; what was given at the same moment goes to the next."""
        turn = place[1]
        if turn.done() and not turn.cancelled():
            turn.result().end()
        elif place in self._waiting:
            self._waiting.remove(place)
            self._next()


class Turn:
    """What an answer takes up, until it says that this is less, or more, or nothing any more."""

    def __init__(self, turns: Turns, size: int) -> None:
        self._turns = turns
        self._size = size

    def keep(self, size: int) -> None:
        """The answer takes so many bytes; where these are more, others wait for longer."""
        more, self._size = self._size - size, size
        self._turns.give_back(more)

    def end(self) -> None:
        """The answer takes nothing any more."""
        self.keep(0)
