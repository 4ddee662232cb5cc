"""The ledger's files, open: made where that is right, known, and closed without harm to others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import apsw

from unlost.ledger.protocol import LedgerGone, LedgerUnfit, NotALedger
from unlost.ledger.sqlite.connection.connecting import connect, connect_writer
from unlost.ledger.sqlite.files.doubt import marked_on_fault, settle_doubt
from unlost.ledger.sqlite.files.forking import guard_forks, unguard_forks
from unlost.ledger.sqlite.files.identity import EVERY, LOCK, Files, Identity, identity
from unlost.ledger.sqlite.files.lock import LockFile
from unlost.ledger.sqlite.files.place import (
    refuse_log_alone,
    refuse_lost,
    refuse_parts_in_use,
    refuse_place,
)
from unlost.ledger.sqlite.files.sharing import refuse_other_names, share
from unlost.settings import WrongSetting


class Opened:
    """The files of the ledger at `path`: one connection that writes, and some that read.

    All are opened at once, so that all have the same files.  A ledger is made where there is none
    and no process has one open, unless it `must_exist`.  Where `same` is given, it must be that
    file, and none is made.
    Raises NotALedger, LedgerUnavailable; WrongSetting where another process has it by another name.
    """

    def __init__(
        self, path: Path, readers: int, same: Identity | None = None, *, must_exist: bool = False
    ) -> None:
        self.files = Files(path, tells=same is None)
        self.readers: SimpleQueue[apsw.Connection] = SimpleQueue()
        self._connections: list[apsw.Connection] = []
        refuse_place(self.files.database)
        self.lock = LockFile.open(self.files.path(LOCK), self.files.database)
        guard_forks(self.files)
        try:
            with self.lock.held():
                alone = self._refuse(same)
                with marked_on_fault(self.lock.fd):
                    look = refuse_other_names if alone else share
                    self._open(readers, look, must_exist=must_exist)
        except BaseException as fault:
            unguard_forks(self.files)
            # Nothing of ours is left beside a stranger's file.
            refused = isinstance(fault, NotALedger | LedgerUnfit | WrongSetting)
            self.lock.release(remove=self.lock.made and refused)
            raise

    def _refuse(self, same: Identity | None) -> bool:
        """Raise where it must not be opened; else, whether nobody has it by this name."""
        database = self.files.database
        if same is not None and identity(database) != same:
            raise LedgerUnfit(f"{database} was removed or replaced since the service began")
        alone = self.lock.alone()
        if alone:
            refuse_log_alone(database)
            self.lock.forget_losses()
        else:
            refuse_parts_in_use(database)
            refuse_lost(database, self.lock.losses())
        return alone

    def _open(self, readers: int, look: Callable[[Path], None], *, must_exist: bool) -> None:
        database = self.files.database
        settle_doubt(self.lock.fd, database)
        try:
            self.writer = connect_writer(database, look, must_exist=must_exist)
            self._connections.append(self.writer)
            for _ in range(readers):
                self._connections.append(connect(database))
                self.readers.put(self._connections[-1])
            self.files.know(EVERY, self.lock.note_loss)
            share(database)
        except BaseException:
            self._disconnect()
            raise
        self.lock.share()

    def close(self) -> None:
        """Close the files.  The last to do so on the machine brings the log into the database."""
        with self.lock.held():
            with suppress(LedgerGone, OSError):
                self.files.check_log()
            self._disconnect()
            self.lock.unshare()
        unguard_forks(self.files)
        self.lock.release()

    def _disconnect(self) -> None:
        for db in reversed(self._connections):
            with suppress(apsw.Error):
                if self.files.loss:  # what lies at the log's path now may be another ledger's
                    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                db.close()
