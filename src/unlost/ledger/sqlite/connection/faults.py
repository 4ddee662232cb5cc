"""What the faults of SQLite, and of the files that it uses, mean to a ledger."""

from __future__ import annotations

import errno
from typing import Final

import apsw

from unlost.ledger.lasting import Lasting
from unlost.ledger.protocol import LedgerUnavailable

FULL: Final = Lasting("has no space left", "free space on its disk")
NO_RIGHT: Final = Lasting(
    "may not write its file", "let this account write the file, its folder and what is beside it"
)
READ_ONLY: Final = Lasting(
    "is read-only", "let this account write the file, or mount its file system for writing"
)
BROKEN_DISK: Final = Lasting("cannot use its disk", "look at the system's log and at the disk")
DAMAGED: Final = Lasting(
    "is damaged", "stop the service, keep the file and what is beside it, and restore a backup"
)

MALFORMED: Final = (apsw.CorruptError, apsw.NotADBError)

LASTING: Final[dict[type[apsw.Error], Lasting]] = {
    apsw.FullError: FULL,
    apsw.ReadOnlyError: READ_ONLY,
    apsw.CantOpenError: NO_RIGHT,
    apsw.PermissionsError: NO_RIGHT,
    apsw.IOError: BROKEN_DISK,
    apsw.CorruptError: DAMAGED,
    apsw.NotADBError: DAMAGED,
}
"""Not here is what passes: another program has the file locked (Busy, Locked), or no memory."""

LASTING_ERRNO: Final = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: NO_RIGHT,
    errno.EPERM: NO_RIGHT,
    errno.EIO: BROKEN_DISK,
}


def meaning(fault: Exception) -> Exception:
    """What a failed step's error means.  SQLite's faults are the machine's; others are ours to
    see."""
    if not isinstance(fault, apsw.Error | OSError):
        return fault
    said = f"{type(fault).__name__}: {fault}"
    if isinstance(fault, OSError):
        lasting = LASTING_ERRNO.get(fault.errno or 0)
    else:
        lasting = LASTING.get(type(fault))
    return LedgerUnavailable(said) if lasting is None else lasting.error(said)
