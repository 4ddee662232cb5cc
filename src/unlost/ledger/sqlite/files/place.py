"""Where no ledger can be, or none may be made: looked at before anything is made there."""

from __future__ import annotations

import os
from pathlib import Path

from unlost.ledger.protocol import LedgerUnfit, NotALedger
from unlost.ledger.sqlite.files.forking import in_use
from unlost.ledger.sqlite.files.identity import DATABASE, INDEX, LOG, identity


def refuse_place(path: Path, *, reading: bool = False) -> None:
    """Raise NotALedger where no ledger can be, or none that this account may use (or only read)."""
    if not path.parent.is_dir():
        raise NotALedger(f"the folder {path.parent} does not exist")
    if not reading and not os.access(path.parent, os.W_OK | os.X_OK):
        raise NotALedger(f"the folder {path.parent} cannot be written")
    if not path.exists():
        return
    if not path.is_file() or not os.access(path, os.R_OK if reading else os.R_OK | os.W_OK):
        can = "read" if reading else "read and written"
        raise NotALedger(f"{path} is not a file that can be {can}")
    if in_use(identity(path)):
        return  # to close another descriptor of it would drop SQLite's locks
    with path.open("rb") as file:
        head = file.read(16)
    # A power cut can leave anything in pages that were being written; what lies beside mends it.
    mendable = any(Path(f"{path}{suffix}").exists() for suffix in ("-journal", "-wal"))
    if head not in (b"", b"SQLite format 3\0") and not mendable:
        raise NotALedger(f"{path} is not an unlost ledger")


def refuse_log_alone(path: Path) -> None:
    """Raise LedgerUnfit where there is a log without its database: with a new one, SQLite would
    remove it, and all that was committed last is in it."""
    log = Path(f"{path}{LOG}")
    if not _size(path) and (_size(log) or (log.exists() and not path.exists())):
        raise LedgerUnfit(
            f"{path} is gone, but its log {log} is there: put the file back beside it, or move "
            "the log away"
        )


def refuse_lost(path: Path, losses: int) -> None:
    """Raise LedgerUnfit where processes have files open that are not those at the paths: their
    log may lie beside a database that is another."""
    if losses:
        raise LedgerUnfit(
            f"{path} was removed or replaced while another process has the ledger open: see what "
            "can be saved from it, and end it before another is started"
        )


def refuse_parts_in_use(path: Path) -> None:
    """Raise LedgerUnfit where a part is gone of a ledger that another process has open."""
    for end in (DATABASE, LOG, INDEX):
        part = Path(f"{path}{end}")
        if not part.exists():
            raise LedgerUnfit(
                f"{part} is gone, but another process still has the ledger open: see what can be "
                "saved from it, and end it before another is started"
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
