"""What to do about the log after a disk fault.

Where a sync fails, the system may keep the page in memory, marked as written: it can be read, and
no later sync brings it to the disk.  To a running ledger that does no harm, since nobody sees a
commit that was not synced, and the next one is written in its place.  But who opens the file next
finds that commit in the log, takes it for good and builds on it, and the next power cut takes away
both.  So whoever meets a fault leaves a mark, and the next to open the ledger first writes the
whole log once more.

The mark is a byte in the lock's file.  It has to outlive processes only: after a power cut the log
is what is on the disk.

Of the database, whoever meets a fault has all of the log brought there once more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite.files.identity import descriptors, identity

MARK = b"?"
PIECE = 65_536  # bytes; SQLite's own VFS writes less than 128 KiB at once

BROUGHT: Final = 96
"""Where the log's index says how many pages of the log are in the database, in four bytes
(`nBackfill`, sqlite.org/walformat.html)."""


@contextlib.contextmanager
def marked_on_fault(lock: int) -> Iterator[None]:
    """Leave a mark in the lock's file if what is done within meets a disk fault."""
    try:
        yield
    except BaseException as fault:
        mark_if_doubtful(fault, lock)
        raise


def mark_if_doubtful(fault: BaseException, lock: int) -> None:
    """Leave it if this is a fault of the disk."""
    if isinstance(fault, apsw.IOError | LedgerUnavailable):
        os.pwrite(lock, MARK, 0)


def settle_doubt(lock: int, path: Path) -> None:
    """Before the ledger at `path` is opened: see that its log is on the disk as it is read.

    Raises LedgerUnavailable where it cannot be.
    """
    if os.pread(lock, 1, 0) != MARK:
        return
    log = Path(f"{path}-wal")
    try:
        if log.exists():
            _write_again(log)
        os.pwrite(lock, b"\0", 0)
    except (apsw.Error, OSError) as fault:
        raise LedgerUnavailable(f"{log} could not be written again: {fault}") from fault


def _write_again(log: Path) -> None:
    flags = [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE, 0]
    file = apsw.VFSFile(apsw.vfs_names()[0], str(log), flags)  # the VFS that connections use
    try:
        size = file.xFileSize()
        for at in range(0, size, PIECE):
            file.xWrite(file.xRead(min(PIECE, size - at), at), at)
        file.xSync(apsw.SQLITE_SYNC_FULL)
    finally:
        file.xClose()


def bring_all_again(index: Path) -> None:
    """Have the next checkpoint bring the whole log, whose `index` this is, into the database.

    What a checkpoint leaves to who still reads, the next one brings, and SQLite syncs both only
    then.  Where that sync fails, it would bring the second part alone once more.  To be called
    while no other process makes one.
    """
    file = identity(index)
    for descriptor in descriptors():
        if identity(descriptor) == file:
            os.pwrite(descriptor, bytes(4), BROUGHT)
            return
