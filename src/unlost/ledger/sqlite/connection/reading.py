"""The ledger's files, open for reading alone: nothing is made beside them that stays.

Where the lock file is there and this account may write, reading locks as writing does.  This is for
the rest: a ledger that nobody has used since it was put there, and an account that may only read.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import apsw

from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit
from unlost.ledger.sqlite.connection.connecting import connect, connect_to_read
from unlost.ledger.sqlite.files.forking import guard_forks, unguard_forks
from unlost.ledger.sqlite.files.identity import DATABASE, LOCK, LOG, Files
from unlost.ledger.sqlite.files.place import refuse_log_alone, refuse_place
from unlost.ledger.sqlite.files.sharing import refuse_if_elsewhere
from unlost.ledger.sqlite.migrations import MIGRATIONS


def may_write(given: Path) -> bool:
    """Whether this account may write the ledger there."""
    path = Path(os.path.realpath(given))
    return os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)


def may_lock(given: Path) -> bool:
    """Whether there is a lock file that this account may use, and a ledger that it may write."""
    return may_write(given) and os.access(f"{os.path.realpath(given)}{LOCK}", os.R_OK | os.W_OK)


class OlderVersion(LedgerUnfit):
    """The file has to be brought to this version first."""


class OpenedToRead:
    """The files of the ledger at `path`.

    Raises NotALedger, LedgerUnavailable; OlderVersion, and LedgerUnfit where SQLite cannot read
    it with the rights of this account.
    """

    def __init__(self, path: Path, readers: int) -> None:
        self.files = Files(path, tells=False)
        self.readers: SimpleQueue[apsw.Connection] = SimpleQueue()
        self._connections: list[apsw.Connection] = []
        self._frozen: tuple[int, int] | None = None
        refuse_place(self.files.database, reading=True)
        refuse_log_alone(self.files.database)
        guard_forks(self.files)
        try:
            for _ in range(readers):
                self._connections.append(self._connect(self.files.database))
                self.readers.put(self._connections[-1])
            self.files.know([DATABASE], lambda: None)
        except BaseException:
            self.close()
            raise

    def _connect(self, path: Path) -> apsw.Connection:
        if may_write(path):
            log = self.files.path(LOG)  # without one, whoever has the file open has it elsewhere
            elsewhere = not log.exists() and not self.files.path(LOCK).exists()
            look = refuse_if_elsewhere if elsewhere else lambda _: None
            db = connect(path, look=look, must_exist=True)
        elif self.files.path(LOG).exists():
            db = connect_to_read(path, "mode=ro")
        else:  # nobody has it open, and SQLite may make nothing here
            self._frozen = self._frozen or _state(path)
            db = connect_to_read(path, "immutable=1")
        version = db.pragma("user_version")
        if version < len(MIGRATIONS):
            db.close()
            raise OlderVersion(
                f"{path} is of an older version of unlost (schema {version}); let an account that "
                "may write it open it first"
            )
        return db

    def check_unchanged(self) -> None:
        """Raise LedgerUnavailable where what was just read may be of several moments."""
        if self._frozen is None:
            return
        if self.files.path(LOG).exists() or _state(self.files.database) != self._frozen:
            raise LedgerUnavailable(f"{self.files.database} was opened by others meanwhile")

    def close(self) -> None:
        """Close the files."""
        for db in self._connections:
            with suppress(apsw.Error):
                if self.files.path(LOCK).exists():  # it is in use, and others see to the log
                    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                db.close()
        unguard_forks(self.files)


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
