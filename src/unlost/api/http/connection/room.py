"""Room for bodies: what those take that are read or handled, over all connections.

The one that has the most may always be read on; the others share the rest.  So what is nearly there
is not held up by what has hardly begun, and no two wait for each other.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, Protocol

from unlost.api.http.connection.apart import Apart, apart

SIZE: Final = 96 * 1024 * 1024
"""Bytes of all bodies together."""

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of the largest body that a call may have."""

AT_ONCE: Final = 256 * 1024
"""Bytes that a connection may bring before it can be held up."""


class Reader(Apart, Protocol):
    """Who reads a body."""

    def hold_up(self) -> None:
        """Read no further for now."""

    def go_on(self) -> None:
        """Read on."""


class Room:
    """What each call's body takes, and who waits to read on."""

    def __init__(self, size: int = SIZE, largest: int = LARGEST) -> None:
        self._size = size
        self._shared = size - largest
        self._taken = 0
        self._by: dict[object, int] = {}
        self._reading: dict[object, Reader] = {}
        self._waiting: dict[object, Reader] = {}
        self._largest: object | None = None  # who has the most, where that is known

    @property
    def taken(self) -> int:
        """Bytes that all take."""
        return self._taken

    @property
    def is_full(self) -> bool:
        """Whether nothing is left for others than the one that has the most."""
        return self._left() <= 0

    def take(self, call: object, size: int) -> bool:
        """Take so much more for a call; whether there was room."""
        if self._taken + size > self._size:
            return False
        self._taken += size
        by = self._by[call] = self._by.get(call, 0) + size
        if self._largest is not None and by > self._by[self._largest]:
            self._largest = call
        return True

    def read_on(self, call: object, reader: Reader) -> None:
        """More of a call's body is to come: at once, or when there is room."""
        self._reading[call] = reader
        if self._left() > 0:
            return
        most = self._most()
        for one, who in [*self._reading.items()]:
            if self._by.get(one, 0) < most:
                del self._reading[one]
                self._waiting[one] = who
                apart(who, who.hold_up)
        self.wake()  # it may be that the one that has the most waits

    def whole(self, call: object) -> None:
        """All of a call's body has come."""
        self._reading.pop(call, None)

    def give_back(self, call: object) -> None:
        """A call needs its body no more."""
        self._reading.pop(call, None)
        self._taken -= self._by.pop(call, 0)
        if call is self._largest:
            self._largest = None
        waiting = self._waiting.pop(call, None)
        if waiting is not None:
            apart(waiting, waiting.go_on)  # what nobody needs is still to be read
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        """Have those read on for whom there is room, who has waited longest first."""
        left = self._left()
        if left > 0:
            ready = [*islice(self._waiting, max(1, left // AT_ONCE))]
        else:
            self._most()
            ready = [self._largest] if self._largest in self._waiting else []
        for call in ready:
            self._reading[call] = reader = self._waiting.pop(call)
            apart(reader, reader.go_on)

    def _left(self) -> int:
        """What is left for others than the one that has the most."""
        if self._taken < self._shared:
            return self._shared - self._taken
        return self._shared - self._taken + self._most()

    def _most(self) -> int:
        """The bytes of the one that has the most, who is looked for among all only where that one
        is gone: there may be thousands.  Of equal ones the last, which is gone last, too."""
        if self._largest is None:
            self._largest = max(reversed(self._by), key=self._by.__getitem__, default=None)
        return 0 if self._largest is None else self._by[self._largest]
