"""A look at a file that does not ask for its times.

Since Linux 6.13 who asks for a file's times gives its next write a time of its own ("multigrain
timestamps").  On a file system without a journal the next sync then writes the inode as well, and
waits for that: of the log, a third of each sync.
"""

from __future__ import annotations

import ctypes
import os
from struct import Struct
from typing import Any, Final, NamedTuple

AT_FDCWD: Final = -100
NLINK, INO, BLOCKS = 0x4, 0x100, 0x400

ROOM: Final = 256
FIELDS: Final = Struct("=16xI12xQ8xQ80xII")
"""Of a `struct statx` (statx(2)): links, inode, blocks, the device's major and minor number."""


class Look(NamedTuple):
    """What is said of a file, in the terms of `os.stat`."""

    st_dev: int
    st_ino: int
    st_nlink: int
    st_blocks: int


def _of_the_system() -> Any:
    call = getattr(ctypes.CDLL(None), "statx", None)
    if call is not None:
        call.argtypes = ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p
    return call


_statx: Final = _of_the_system()
_Found: Final = ctypes.c_char * ROOM  # kept: a new type each time is a ring


def look(path: str) -> Look:
    """Which file is at a path.  Raises OSError.

    Where the system has no such call, or allows none, its times are asked for after all.
    """
    if _statx is not None:
        found = _Found()
        if _statx(AT_FDCWD, os.fsencode(path), 0, NLINK | INO | BLOCKS, found) == 0:
            links, number, blocks, major, minor = FIELDS.unpack_from(found)
            return Look(os.makedev(major, minor), number, links, blocks)
    status = os.stat(path)  # noqa: PTH116 - it says as well why not
    return Look(status.st_dev, status.st_ino, status.st_nlink, status.st_blocks)
