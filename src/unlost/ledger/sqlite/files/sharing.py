"""Who has the database open, by whatever name.

Its lock, its log and the log's index lie beside a name, and a file may have several (hard links),
or be moved while it is in use: two services by two names would write two logs for one file.  So
each process shares a byte of the database itself, too.  It does that through SQLite's own
descriptor: were another one closed, the process would lose all its locks of the file, SQLite's
included.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from unlost.ledger.sqlite.files.identity import descriptors, identity
from unlost.settings import WrongSetting

BYTE = 0x4000_0000 + 512
"""The byte after those that SQLite locks."""


def refuse_other_names(database: Path) -> None:
    """Raise WrongSetting where a process has the file open, as SQLite has it here now; for who
    knows that none has it by this name.

    Until `share` nobody else passes this, as long as SQLite reads what is a ledger already.
    """
    try:
        _lock(database, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # either, says POSIX
        raise WrongSetting(
            f"{database} is open in another process by another name of the file (a hard link, or "
            "it was moved), or without its lock file: use that name, or end that process first"
        ) from None


def refuse_if_elsewhere(database: Path) -> None:
    """The same, for who only reads and shares nothing."""
    refuse_other_names(database)
    _lock(database, fcntl.LOCK_UN)


def share(database: Path) -> None:
    """Let others know that the file is open here."""
    with suppress(BlockingIOError, PermissionError):  # one that is just being refused
        _lock(database, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _lock(database: Path, how: int) -> None:
    file = identity(database)
    for descriptor in descriptors():
        if identity(descriptor) == file and _is_written(descriptor):
            fcntl.lockf(descriptor, how, 1, BYTE)
            return


def _is_written(descriptor: int) -> bool:
    """Not, where SQLite could open it for reading alone."""
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
