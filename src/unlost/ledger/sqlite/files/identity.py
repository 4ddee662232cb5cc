"""Whether the ledger's files are still those at their paths.

SQLite opens its files once and goes on with the descriptors, whatever becomes of the names: what is
committed after an `rm` or `mv` is in files that the next start does not find.  So the names are
looked at between each sync and its answer, and once a second where nothing is written.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from os import stat
from pathlib import Path

from unlost.ledger.protocol import LedgerGone, LedgerUnavailable
from unlost.telemetry import Log

Identity = tuple[int, int]
"""A file's device and inode."""

EVERY = DATABASE, LOG, INDEX, LOCK = "", "-wal", "-shm", "-lock"
"""What the names of the ledger's files end with."""

GONE = "the ledger's file was removed or replaced while it was in use: only a restart ends that"
WORDS = "has lost its file: it was removed or replaced while it was in use"

log = Log("unlost.ledger")
logging.getLogger("unlost.ledger").addHandler(logging.NullHandler())
"""A command tells its user by the error alone."""


def identity(file: str | Path | int) -> Identity | None:
    """Which file a path or a descriptor is; None where there is none."""
    try:
        status = stat(file)  # noqa: PTH116 - a descriptor as well
    except OSError:
        return None
    return status.st_dev, status.st_ino


LISTING = Path("/dev/fd")
HIGHEST = 65_536
"""Where there is no such listing, as where `/proc` is not mounted, descriptors below are tried."""


def descriptors() -> list[int]:
    """What this process has open."""
    try:
        return [int(path.name) for path in LISTING.iterdir()]
    except OSError:
        return [number for number in range(HIGHEST) if identity(number) is not None]


class Files:
    """The files of the ledger at `given`, which may be a link, as one process has them open.

    The database is looked for where it was given, as the next start will; what is beside it, where
    SQLite has it.  A later `chdir` changes nothing.  Where it `tells`, the log gets one line when
    they are gone.
    """

    def __init__(self, given: Path, *, tells: bool) -> None:
        self.database = Path(os.path.realpath(given))
        self._paths = {DATABASE: str(given.absolute())} | {
            end: f"{self.database}{end}" for end in (LOG, INDEX, LOCK)
        }
        self._tells = tells
        self._known: dict[str, Identity] = {}
        self.lost = False
        self.log_alone = False  # whether the database is still there
        self._tell_others: Callable[[], None] = lambda: None

    def path(self, end: str) -> Path:
        """The path of the file whose name ends so."""
        return Path(self._paths[end])

    def know(self, ends: Iterable[str], found_gone: Callable[[], None]) -> None:
        """From now on these are the ledger's files; they are open.

        `found_gone` is called once, before anybody hears of it here.  Raises LedgerUnavailable
        where other files have come to their paths meanwhile.
        """
        self._tell_others = found_gone
        opened = {identity(descriptor) for descriptor in descriptors()}
        known = {self._paths[end]: identity(self._paths[end]) for end in ends}
        for path, found in known.items():
            if found is None or found not in opened:
                raise LedgerUnavailable(f"{path} was removed or replaced while it was opened")
            self._known[path] = found

    @property
    def identity(self) -> Identity:
        """Which file the database is that was opened."""
        return self._known[self._paths[DATABASE]]

    def identities(self) -> set[Identity | None]:
        """The files that are open; those at the paths, where they are only being opened."""
        if self._known:
            return set(self._known.values())
        return {identity(path) for path in self._paths.values()}

    def check(self) -> None:
        """Raise LedgerGone where a file is not the one that was opened, now or at a look before,
        OSError where that cannot be seen now."""
        self.refuse_if_lost()
        first = ""
        try:  # no call more than is needed: it is on the way of every commit
            for first, (device, number) in self._known.items():
                status = stat(first)  # noqa: PTH116 - the quickest way
                if status.st_ino != number or status.st_dev != device or not status.st_nlink:
                    break
            else:
                return
        except (FileNotFoundError, NotADirectoryError):
            pass
        self._found_gone(first)

    def _found_gone(self, first: str) -> None:
        gone = {first} | {path for path, known in self._known.items() if identity(path) != known}
        self.log_alone = gone <= {self._paths[LOG], self._paths[INDEX]}
        self._tell_others()
        self.lose(", ".join(sorted(gone)))
        self.refuse_if_lost()

    def refuse_if_lost(self) -> None:
        """Raise LedgerGone where a file was found to be gone.  One that comes back is no better:
        what others have written to it meanwhile is not known here."""
        if self.lost:
            raise LedgerGone(GONE, words=WORDS)

    def lose(self, which: str) -> None:
        """From now on they are gone."""
        self.lost = True
        if self._tells:
            log.error("ledger.unavailable", extra={"why": f"{GONE}: {which}"})
