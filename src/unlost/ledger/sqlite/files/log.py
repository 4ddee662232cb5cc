"""Whether the log holds what was written to it: somebody may cut it in place (`: > unlost.db-wal`).

SQLite would go on behind the place where it was, and leave a hole: readers would find zeros, and a
checkpoint would bring them into the database.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MAGIC: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
HEADER, FRAME = 32, 24
"""Bytes at the begin of the log, and of each of its pages."""


def size(pages: int, page_size: int) -> int:
    """Bytes of a log of so many pages."""
    return HEADER + pages * (FRAME + page_size)


def is_cut(log: Path, page_size: int) -> bool:
    """Whether there is a hole in the log.  An empty one may be right: others may have brought it
    into the database.  Raises OSError."""
    with log.open("rb", buffering=0) as file:
        begin = file.read(len(MAGIC[0]))
        if begin not in MAGIC:
            return begin != b""
        try:
            hole = os.lseek(file.fileno(), 0, os.SEEK_HOLE)
        except OSError:  # it cannot be asked here
            return False
        before = -(-(hole - HEADER) // (FRAME + page_size))  # frames that begin before it
        return os.pread(file.fileno(), FRAME, size(before, page_size)) == bytes(FRAME)
