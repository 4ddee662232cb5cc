"""A machine whose power can be cut and whose disk can fail, under the SQLite that ships.

A VFS over the system's own.  Running processes see their writes at once, as through the page
cache; beside that a `Disk` keeps what a power cut would leave.  Nothing is really synced.
Shared memory (the wal-index) and locks are the system's own, and gone after a cut.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, StrEnum, auto
from pathlib import Path
from random import Random
from types import TracebackType

import apsw

from tests.faults.disk import Disk, File


class Call(StrEnum):
    """What SQLite asks of a disk."""

    OPEN = "open"  # only where it makes the file
    READ = "read"
    WRITE = "write"
    SYNC = "sync"
    TRUNCATE = "truncate"
    DELETE = "delete"


class Fault(Enum):
    """What may come of a call."""

    CUT = auto()  # the power fails during it
    FULL = auto()  # there is no room
    FAIL = auto()  # the disk does not do it; of a sync: nor ever will, what it was to sync
    FORGET = auto()  # the same; the system forgets at once what it could not sync


Plan = Callable[[Call, str], Fault | None]
"""Told of each call before it is made, with the file's name; says what goes wrong."""


def all_is_well(_call: Call, _name: str) -> None:
    """The plan that nothing goes wrong."""


class Power(Enum):
    ON = auto()
    OFF = auto()  # every call fails
    GONE = auto()  # what is asked of a dead machine while its objects are cleared away


class Machine(apsw.VFS):
    """The default VFS from `with` on; its files lie in `folder`, where none other may be."""

    def __init__(self, folder: Path) -> None:
        self.base = "unix"
        super().__init__("machine", self.base, makedefault=True)
        self.folder = folder
        self.disk = Disk({})
        self.plan: Plan = all_is_well
        self.power = Power.ON
        self.trace = hashlib.blake2b(digest_size=16)
        self.lies = False  # whether syncs do nothing
        self._noise = Random(0)

    def __enter__(self) -> Machine:
        """APSW tells the hook of errors that it cannot raise; here each call has failed by plan."""
        sys.excepthook = lambda *_: None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sys.excepthook = sys.__excepthook__
        self.unregister()

    def start(self, seed: int) -> None:
        """An empty disk, and all chance anew."""
        self._noise = Random(seed)
        apsw.randomness(0)  # SQLite asks again for its seed
        self.trace = hashlib.blake2b(digest_size=16)
        self.plan = all_is_well
        self.boot({})

    def cut(self) -> None:
        """The power fails."""
        self.power = Power.OFF

    def reboot(self, chance: Random) -> None:
        """Come up again with what the cut has left on the disk, one way it may be."""
        for connection in apsw.connections():
            with suppress(apsw.ConnectionClosedError):
                if Path(connection.filename).is_relative_to(self.folder):  # else another test's
                    connection.close(True)
        self.boot(self.disk.survivors(chance))

    def boot(self, contents: dict[str, bytes]) -> None:
        """Come up with these files."""
        for path in self.folder.iterdir():
            path.unlink()
        for name, data in contents.items():
            (self.folder / name).write_bytes(data)
        self.disk = Disk(contents)
        self.power = Power.ON

    def meet(self, call: Call, name: str) -> Fault | None:
        """What comes of this call; the caller does what the answer says.  Raises if it is not
        done at all."""
        if self.power is Power.OFF:
            raise _error(apsw.SQLITE_IOERR, "the power is off")
        if self.power is Power.GONE:
            return None
        fault = self.plan(call, name)
        if fault is Fault.CUT:
            self.cut()
        return fault

    def log(self, *what: object) -> None:
        self.trace.update(repr(what).encode())

    # What SQLite calls

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        if name is None:
            return apsw.VFSFile(self.base, name, flags)
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        if not path.exists() and self.power is not Power.GONE:
            fault = self.meet(Call.OPEN, path.name)
            if fault is Fault.CUT:
                self.disk.open(path.name)
                raise _error(apsw.SQLITE_IOERR, "the power is off")
            if fault is not None:
                raise _error(apsw.SQLITE_CANTOPEN, "not opened")
        self.log("open", path.name)
        return MachineFile(self, name, path.name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802
        fault = self.meet(Call.DELETE, Path(name).name)
        if self.power is Power.GONE:
            return
        if fault in (None, Fault.CUT):
            self.log("delete", Path(name).name)
            self.disk.remove(Path(name).name)
        if fault is not None:
            raise _error(apsw.SQLITE_IOERR_DELETE, "not deleted")
        super().xDelete(name, syncdir)
        if syncdir:
            self.disk.sync_names()

    def xRandomness(self, numbytes: int) -> bytes:  # noqa: N802
        return self._noise.randbytes(numbytes)


NAMES_SYNCED_WITH = (
    apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
)
"""Files whose first sync the system's VFS follows with one of the folder."""


SALTED = 32
"""Bytes of the log's headers, which hold random numbers; how many SQLite has drawn before may
depend on who happened to hold a lock."""

PIECE = 65_536
"""The system's VFS writes less than 128 KiB at once."""


class MachineFile(apsw.VFSFile):
    """An open file."""

    def __init__(
        self, machine: Machine, given: str | apsw.URIFilename, name: str, flags: list[int]
    ) -> None:
        super().__init__(machine.base, given, flags)
        self._machine = machine
        self._name = name
        self._file: File = machine.disk.open(name)
        creates = bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        self._syncs_names = creates and bool(flags[0] & NAMES_SYNCED_WITH)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        if self._machine.meet(Call.READ, self._name) is not None:
            raise _error(apsw.SQLITE_IOERR_READ, "not read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        machine = self._machine
        fault = machine.meet(Call.WRITE, self._name)
        if machine.power is Power.GONE:
            return
        machine.log("write", self._name, offset, len(data) if len(data) <= SALTED else data)
        done = data if fault in (None, Fault.CUT) else data[: len(data) // 2]
        machine.disk.write(self._file, offset, bytes(done))
        if fault is not Fault.CUT:
            super().xWrite(done, offset)
        if fault is Fault.FULL:
            raise _error(apsw.SQLITE_FULL, "no room")
        if fault is not None:
            raise _error(apsw.SQLITE_IOERR_WRITE, "not written")

    def xSync(self, flags: int) -> None:  # noqa: N802
        machine = self._machine
        fault = machine.meet(Call.SYNC, self._name)
        if machine.power is Power.GONE or (fault is None and machine.lies):
            return
        machine.log("sync", self._name)
        if fault in (Fault.FAIL, Fault.FORGET):
            self._file.fail_sync()
        if fault is Fault.FORGET:
            self._revert()
        if fault is not None:
            raise _error(apsw.SQLITE_IOERR_FSYNC, "not synced")
        self._file.sync()
        if self._syncs_names:
            machine.disk.sync_names()
            self._syncs_names = False

    def _revert(self) -> None:
        """Let everybody see the file as it was synced."""
        synced = bytes(self._file.synced)
        for start in range(0, len(synced), PIECE):
            super().xWrite(synced[start : start + PIECE], start)
        super().xTruncate(len(synced))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        machine = self._machine
        fault = machine.meet(Call.TRUNCATE, self._name)
        if machine.power is Power.GONE:
            return
        machine.log("truncate", self._name, newsize)
        if fault in (None, Fault.CUT):
            machine.disk.resize(self._file, newsize)
        if fault is not None:
            raise _error(apsw.SQLITE_IOERR_TRUNCATE, "not truncated")
        super().xTruncate(newsize)


def _error(code: int, message: str) -> Exception:
    error = apsw.exception_for(code)
    error.args = (message,)
    return error
