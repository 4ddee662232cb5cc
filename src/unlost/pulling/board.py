"""What a worker process holds, as its supervisor sees it: also once the process is dead, or its
event loop hangs.

It is a file without a name that both have mapped.  Each attempt has a slot with its token and the
time by which it is to have ended, which is written last and cleared first.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from typing import Final

import msgspec

LONGEST: Final = 2_000
"""Characters of a token."""

_HEAD: Final = struct.Struct("<dI")
"""When the attempt is to have ended, by `time.monotonic`, 0 where the slot is free; and how long
its token is."""
_DUE: Final = struct.Struct("<d")
_SLOT: Final = _HEAD.size + LONGEST + 4


class Entry(msgspec.Struct, frozen=True):
    """An attempt that a worker holds."""

    token: str
    due: float


class Board:
    """A board for so many attempts; what is beyond them does not stand on it."""

    def __init__(self, fd: int) -> None:
        """The board in this file, which is closed with it."""
        self.fd = fd
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)
        self._free = list(range(len(self._map) // _SLOT))
        self._places: dict[str, int] = {}

    @classmethod
    def of(cls, slots: int) -> Board:
        """A new one."""
        with tempfile.TemporaryFile() as file:
            os.truncate(file.fileno(), slots * _SLOT)
            return cls(os.dup(file.fileno()))

    def put(self, token: str, due: float) -> None:
        """Add an attempt."""
        raw = token.encode()
        if not self._free or len(raw) > LONGEST or token in self._places:
            return
        place = self._places[token] = self._free.pop()
        start = place * _SLOT
        _HEAD.pack_into(self._map, start, 0.0, len(raw))
        self._map[start + _HEAD.size : start + _HEAD.size + len(raw)] = raw
        _DUE.pack_into(self._map, start, due)

    def take(self, token: str) -> None:
        """Remove an attempt, if it stands here."""
        place = self._places.pop(token, None)
        if place is not None:
            _DUE.pack_into(self._map, place * _SLOT, 0.0)
            self._free.append(place)

    def entries(self) -> list[Entry]:
        """What stands here, whoever put it."""
        found = []
        for start in range(0, len(self._map), _SLOT):
            due, length = _HEAD.unpack_from(self._map, start)
            if due:
                raw = self._map[start + _HEAD.size : start + _HEAD.size + min(length, LONGEST)]
                found.append(Entry(raw.decode("ascii", "replace"), due))
        return found

    @property
    def empty(self) -> bool:
        """Whether nothing stands here."""
        starts = range(0, len(self._map), _SLOT)
        return not any(_DUE.unpack_from(self._map, start)[0] for start in starts)

    def close(self) -> None:
        """Give it back; safe to call twice."""
        if self.fd >= 0:
            self._map.close()
            os.close(self.fd)
            self.fd = -1
