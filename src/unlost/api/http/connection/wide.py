"""Bodies whose texts take more than their bytes: they are handled in turns.

Python keeps a text of which a single character is beyond Latin-1 in two or four bytes for each of
all its characters, and so it waits for the ledger.
"""

from __future__ import annotations

from typing import Final

from uvicorn._types import ASGIReceiveCallable, ASGIReceiveEvent

from unlost.api.answers.turns import Turn, Turns
from unlost.task import MAX_TASK

WIDEST: Final = 4
"""Bytes that a character takes at most."""

SMALL: Final = 4_096
"""Bytes of a body that needs no turn: as many as there are connections take little."""

SIZE: Final = 32 * 1024 * 1024
"""Bytes of such texts, over all connections."""

PATIENCE: Final = 10.0
"""Seconds that a body waits for its turn, as for room."""

TOO_MANY: Final = "too many large bodies at once; try again"


def is_wide(body: bytes) -> bool:
    """Whether a body may take more than its bytes, and is not small."""
    return len(body) > SMALL and not body.isascii()


class WideBodies:
    """Room for such texts."""

    def __init__(self, size: int = SIZE, patience: float = PATIENCE) -> None:
        self._turns = Turns(size, patience=patience, told=TOO_MANY)

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for a turn."""
        return self._turns.wanted

    def of(self, receive: ASGIReceiveCallable) -> WideBody:
        """The body of a call."""
        return WideBody(self._turns, receive)


class WideBody:
    """A body that may be wide; larger ones than a task's are handled in parts anyway."""

    def __init__(self, turns: Turns, receive: ASGIReceiveCallable) -> None:
        self._turns = turns
        self._receive = receive
        self._size = 0
        self._ascii = True
        self._turn: Turn | None = None

    async def receive(self) -> ASGIReceiveEvent:
        """More of it; the end once it has its turn.  Raises Unavailable."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message["body"])
            self._ascii = self._ascii and message["body"].isascii()
            ended = not (message["more_body"] or self._ascii or self._turn)
            if ended and SMALL < self._size <= MAX_TASK:
                size = WIDEST * self._size
                self._turn = self._turns.at_once(size) or await self._turns.wait(size)
        return message

    def end(self) -> None:
        """The call has been answered."""
        if self._turn is not None:
            self._turn.end()
