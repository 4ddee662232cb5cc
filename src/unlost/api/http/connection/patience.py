"""How long a client is waited for, in whole seconds in which it was its turn."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final

from unlost.api.http.connection.drips import FEW, PIECE

HEAD_WITHIN: Final = 10
"""Seconds from the first byte of a request to the end of its headers."""

SLOWEST: Final = 1024
"""Bytes a second below which a body is too slow."""

OVER: Final = 20
"""Seconds, any in a row, over which that counts."""

ROOM_WITHIN: Final = 10
"""Seconds that a body waits for room."""

READ_WITHIN: Final = 10
"""Seconds after which a client is sent away that has read nothing of what it is sent."""


class Overdue(Enum):
    """What was waited for too long."""

    HEAD = auto()
    BODY = auto()
    ROOM = auto()
    READING = auto()


class Patience:
    """What one connection waits for, and since when."""

    __slots__ = (
        "_came", "_head", "_in_body", "_last", "_pieces", "_room", "_unread", "brought",
        "unread_for",
    )  # fmt: skip

    def __init__(self) -> None:
        self._head: int | None = None
        self._in_body = False
        self._came = self.brought = 0  # the latter by all of the body
        self._last: deque[int] | None = None  # bytes of the body that came, by second
        self._pieces = 0  # in which the request has come so far
        self._room = 0
        self._unread = self.unread_for = 0

    def head_begins(self) -> None:
        """The first byte of a request is here."""
        self._head, self._pieces, self.brought = 0, 0, 0

    def body_begins(self) -> None:
        """The head is here."""
        self._head, self._in_body, self._came, self._last = None, True, 0, None
        self.brought = 0

    def came(self, size: int) -> None:
        """So many bytes of the body."""
        self._came += size
        self.brought += size

    def body_ends(self) -> None:
        """The request is here."""
        self._in_body, self._last = False, None

    @property
    def in_body(self) -> bool:
        return self._in_body

    def drips(self) -> bool:
        """Another piece was read; whether more of the request is to come, and it comes in many
        small ones."""
        if not self._in_body and self._head is None:
            return False
        self._pieces += 1
        return self._pieces > FEW and self._pieces * PIECE > self.brought

    def second(self, unread: int, *, paused: bool, no_room: bool) -> Overdue | None:
        """A second has passed; what took too long, if anything did.

        `unread` bytes wait for the client to read them.  Where the connection is `paused`, it is
        not the client that is slow; perhaps there is `no_room` for its body.
        """
        self.unread_for = self.unread_for + 1 if unread and unread == self._unread else 0
        self._unread = unread
        self._room = self._room + 1 if no_room else 0
        if self.unread_for >= READ_WITHIN:
            return Overdue.READING
        if self._room >= ROOM_WITHIN:
            return Overdue.ROOM
        if paused or no_room:
            return None
        if self._head is not None:
            self._head += 1
            return Overdue.HEAD if self._head >= HEAD_WITHIN else None
        return Overdue.BODY if self._in_body and self._too_slow() else None

    def _too_slow(self) -> bool:
        if self._last is None:
            self._last = deque(maxlen=OVER)
        self._last.append(self._came)
        self._came = 0
        return len(self._last) == OVER and sum(self._last) < SLOWEST * OVER
