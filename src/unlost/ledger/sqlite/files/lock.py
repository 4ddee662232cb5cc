"""The lock file beside the ledger: who writes, and who has the ledger open.

SQLite's own busy wait is unfair, so whoever writes first holds a byte of this file; another byte is
shared by all who have the ledger open, so that nobody makes a second one where they still work on
the first.  `fcntl.lockf`, because a forked child of a handler does not inherit it.  Such locks are
the process's: they are dropped when it closes any descriptor of the file.  So a process has one
descriptor of it, for all ledgers that it opens there.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shlex
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Final

from unlost.ledger.protocol import LedgerUnfit
from unlost.ledger.sqlite.files.doubt import mark_if_doubtful
from unlost.ledger.sqlite.files.identity import Identity, identity

WRITING, OPEN, LINE, HURRY, LITTLE = 0, 1, 2, 3, 4
"""The bytes that are locked: by who writes, by all who have the ledger open, by the first in the
line of those who are patient, and, while they wait for who writes, by all who are not, and by those
of them who write little."""

HURRY_ALONE, HURRY_AND_LITTLE = 1, 2
"""Bytes from HURRY on."""

GIVE_WAY: Final = 0.0005
TIMES: Final = 10
"""Seconds for which the lock is left to those in a hurry, and how often at most until they have it:
they may have been stopped (Ctrl-Z), and nobody waits for that."""

LOSSES = 1
"""The byte that counts, after 255 from 1 on, how often a process found that the files are gone, and
is 0 while none has: all who have them open must think the same of them, also where they come back,
and nobody joins them.  (Byte 0 is `doubt`'s.)
"""

_of_this_process: dict[Identity, LockFile] = {}
_opening = threading.Lock()


class LockFile:
    """The lock file at `path`, open in this process.  `made` is whether this process made it."""

    def __init__(self, path: Path, fd: int, identity: Identity, *, made: bool) -> None:
        self.fd = fd
        self.made = made
        self._path = path
        self._identity = identity
        self._users = 0
        self._open = 0  # ledgers
        self._mutex = threading.Lock()
        self._line = threading.Lock()

    @classmethod
    def open(cls, path: Path, database: Path) -> LockFile:
        """Open the lock file of this database; one that is made gets the database's owner.

        Raises LedgerUnfit where this account may not.
        """
        with _opening:
            held = _of_this_process.get(identity(path) or (-1, -1))
            if held is None:
                fd, made = _opened(path, database)
                status = os.fstat(fd)
                held = cls(path, fd, (status.st_dev, status.st_ino), made=made)
                _of_this_process[held._identity] = held
            held._users += 1
            return held

    def release(self, *, remove: bool = False) -> None:
        """Close the file, once nobody in this process uses it any more."""
        with _opening:
            self._users -= 1
            if self._users:
                return
            if remove:
                self._path.unlink(missing_ok=True)
            del _of_this_process[self._identity]
            os.close(self.fd)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one who writes, opens or closes."""
        _lock(self._mutex, self.fd, WRITING)
        try:
            yield
        finally:
            _unlock(self._mutex, self.fd, WRITING)

    def writing(self, *, patient: bool = False, little: bool = False, rest: float = 0.0) -> Writing:
        """The same, to write: a fault of the disk within leaves a mark of doubt.

        Of those who are `patient` only one asks for it at a time, after `rest` seconds, and lets
        others go first who wait, so that any other waits for one of them at most, however many
        there are.  Of others who write `little` it is known that they wait (`pressed`).
        """
        told = HURRY_AND_LITTLE if little else HURRY_ALONE
        return Writing(self._mutex, self.fd, told, self._line if patient else None, rest)

    def hurried(self) -> bool:
        """Whether another process waits to write who is not patient.  To be asked while `writing`;
        of the ledgers of this process it says nothing."""
        return _taken(self.fd, HURRY)

    def pressed(self) -> bool:
        """The same of those who write little."""
        return _taken(self.fd, LITTLE)

    def alone(self) -> bool:
        """Whether nobody has the ledger open.  To be asked, like what follows, while `held`."""
        return not self._open and not _taken(self.fd, OPEN)

    def share(self) -> None:
        """Let others know that the ledger is open here."""
        fcntl.lockf(self.fd, fcntl.LOCK_SH, 1, OPEN)
        self._open += 1

    def unshare(self) -> None:
        """It is no longer."""
        self._open -= 1
        if not self._open:
            fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, OPEN)

    def losses(self) -> int:
        """A number that is another once some process has found the files gone."""
        return int.from_bytes(os.pread(self.fd, 1, LOSSES))

    def forget_losses(self) -> None:
        """Nobody has those files open any more."""
        if self.losses():
            os.pwrite(self.fd, bytes(1), LOSSES)

    def note_loss(self) -> None:
        """Let the other processes know."""
        with suppress(OSError):  # no room; each looks for itself, too
            os.pwrite(self.fd, bytes([self.losses() % 255 + 1]), LOSSES)


class Writing:
    """What `LockFile.writing` gives; a class, since each commit pays for it."""

    __slots__ = ("_fd", "_line", "_mutex", "_rest", "_told")

    def __init__(
        self, mutex: threading.Lock, fd: int, told: int, line: threading.Lock | None, rest: float
    ) -> None:
        self._mutex = mutex
        self._fd = fd
        self._told = told
        self._line = line
        self._rest = rest

    def __enter__(self) -> None:
        if self._line is None:
            _lock(self._mutex, self._fd, WRITING, told=self._told)
            return
        _lock(self._line, self._fd, LINE)
        try:
            if self._rest:
                sleep(self._rest)  # in the line: nobody else who is patient uses it
            _lock(self._mutex, self._fd, WRITING)
            if _taken(self._fd, HURRY):
                _unlock(self._mutex, self._fd, WRITING)
                _give_way(self._fd)
                _lock(self._mutex, self._fd, WRITING)
        except BaseException:
            self._leave_line()
            raise

    def __exit__(self, _kind: object, fault: BaseException | None, _trace: object) -> None:
        try:
            if fault is not None:
                mark_if_doubtful(fault, self._fd)
        finally:
            _unlock(self._mutex, self._fd, WRITING)
            self._leave_line()

    def _leave_line(self) -> None:
        if self._line is not None:
            _unlock(self._line, self._fd, LINE)


def _lock(mutex: threading.Lock, fd: int, byte: int, *, told: int = 0) -> None:
    """Lock a byte; who has to wait for it holds so many bytes from HURRY on meanwhile."""
    mutex.acquire()
    try:
        if not told:
            fcntl.lockf(fd, fcntl.LOCK_EX, 1, byte)
        elif not _got(fd, byte):
            fcntl.lockf(fd, fcntl.LOCK_SH, told, HURRY)
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX, 1, byte)
            finally:
                fcntl.lockf(fd, fcntl.LOCK_UN, told, HURRY)
    except BaseException:
        mutex.release()
        raise


def _give_way(fd: int) -> None:
    for _ in range(TIMES):
        sleep(GIVE_WAY)
        if not _taken(fd, HURRY):
            return


def _got(fd: int, byte: int) -> bool:
    """Lock it, if nobody else has it."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):  # either, says POSIX
        return False
    return True


def _taken(fd: int, byte: int) -> bool:
    """Whether another process has it."""
    if not _got(fd, byte):
        return True
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, byte)
    return False


def _unlock(mutex: threading.Lock, fd: int, byte: int) -> None:
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, byte)
    mutex.release()


def _opened(path: Path, database: Path) -> tuple[int, bool]:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        with suppress(FileNotFoundError):
            try:
                return os.open(path, flags), False
            except PermissionError:
                raise LedgerUnfit(_cure(path, database)) from None
        with suppress(FileExistsError):
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
            _give(fd, database)
            return fd, True


def _give(fd: int, database: Path) -> None:
    """Make a file that is beside the database as that is: whoever may use one may use both."""
    with suppress(OSError):  # there is no database yet; or the file system knows no owners
        status = database.stat()
        os.fchown(fd, status.st_uid if os.geteuid() == 0 else -1, status.st_gid)
        os.fchmod(fd, stat.S_IMODE(status.st_mode) & 0o666)


def _cure(path: Path, database: Path) -> str:
    has, wants = path.stat(), database.stat() if database.exists() else path.parent.stat()
    mode = stat.S_IMODE(wants.st_mode) & 0o666
    told = f"{path} belongs to {_name(has.st_uid)} (mode {stat.S_IMODE(has.st_mode):04o})"
    cure = f"chown {wants.st_uid}:{wants.st_gid} {shlex.quote(str(path))}"
    change = f"chmod {mode:04o} {shlex.quote(str(path))}"
    return f"{told} and {_name(os.geteuid())} may not write it; as root: {cure} && {change}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
