"""Whether the ledger's files are still those at their paths, and whole.

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
from unlost.ledger.sqlite.files.log import is_cut, size
from unlost.ledger.sqlite.files.loss import CUT, DAMAGED, GONE, Loss
from unlost.ledger.sqlite.files.statx import look
from unlost.telemetry.logs import Log

Identity = tuple[int, int]
"""A file's device and inode."""

EVERY = DATABASE, INDEX, LOCK, LOG = "", "-shm", "-lock", "-wal"
"""What the names of the ledger's files end with."""

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
        self.loss: Loss | None = None
        self._written = self._page_size = 0
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
        """Raise LedgerGone where a file is not the one that was opened, or a part of the log that
        was written is missing, now or at a look before; OSError where that cannot be seen now."""
        self.refuse_if_lost()
        first, blocks, written = "", 0, self._paths[LOG]
        try:  # no call more than is needed: it is on the way of every commit
            for first, (device, number) in self._known.items():
                status = look(first) if first == written else stat(first)  # noqa: PTH116
                if status.st_ino != number or status.st_dev != device or not status.st_nlink:
                    break
                blocks = status.st_blocks
            else:
                if blocks * 512 < self._written:  # the log is the last of them
                    self.check_log()
                return
        except (FileNotFoundError, NotADirectoryError):
            pass
        self._found_gone(first)

    def wrote(self, pages: int, page_size: int) -> None:
        """So many pages are in the log by a commit."""
        self._written, self._page_size = size(pages, page_size), page_size

    def check_log(self) -> None:
        """The same for the log, by what is in it."""
        self.refuse_if_lost()
        if self._written and is_cut(self.path(LOG), self._page_size):
            self._found(CUT, self._paths[LOG])

    def _found_gone(self, first: str) -> None:
        gone = {first} | {path for path, known in self._known.items() if identity(path) != known}
        self.log_alone = gone <= {self._paths[LOG], self._paths[INDEX]}
        self._found(GONE, ", ".join(sorted(gone)))

    def found_damaged(self, said: str) -> None:
        """SQLite has found what it cannot have written."""
        if self.loss is None:
            self._tell_others()
            self.lose(DAMAGED, said)

    def _found(self, loss: Loss, which: str) -> None:
        self._tell_others()
        self.lose(loss, which)
        self.refuse_if_lost()

    def refuse_if_lost(self) -> None:
        """Raise LedgerGone where a file was found to be gone.  One that comes back is no better:
        what others have written to it meanwhile is not known here."""
        if self.loss is not None:
            raise LedgerGone(self.loss.why, words=self.loss.words)

    def lose(self, loss: Loss, which: str = "") -> None:
        """From now on they are lost."""
        self.loss = loss
        if self._tells:
            why = f"{loss.why}: {which}" if which else loss.why
            log.error("ledger.unavailable", extra={"why": why})
