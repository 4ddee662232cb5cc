#!/usr/bin/env bash
# SQLite 3.54.1 (PyPI: apsw 3.54.1.0), write-ahead log, synchronous=FULL.
#
# What happens: a checkpoint that has to leave a part of the log to a reader of an older snapshot writes the rest into
# the database, does not sync it, and notes it as brought.  The next one, which gets to the end of the log, syncs both.
# Where that sync fails once (EIO), a checkpoint made again writes only the second part again; its sync succeeds, it
# answers that all pages of the log are in the database, and the next writer begins the log anew.  Linux (ext4, XFS)
# reports a failed sync once and counts the pages as clean from then on, and so does the disk below: the first part is
# neither in the log nor on the disk.  It can be read until the power fails.  TRUNCATE does the same.
#
# What one would guess: that a checkpoint that succeeds after one that failed has brought all of the log, as it does
# where none was made beside a reader: there the one made again writes every page again.
# Whom it hurts: who goes on after an I/O error that passed (a volume on a network, a thin one that was full for a
# moment): a committed row is back at its old value, a later one is there, and `integrity_check` finds nothing.
# What helps: after a sync of the database that failed, close all connections without a checkpoint
# (SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE): who opens it next brings the whole log.
#
# Seen after a power cut: with a reader or a failed sync: 1, 1, 1; with both: 0, 1, 1 and "ok"; with both, and opened
# anew before the retry: 1, 1, 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.54.1.0
cat >"$folder/finding.py" <<'PYTHON'
import pathlib
import shutil
import sys

import apsw

PAGE = 4096


class Disk(apsw.VFS):
    """The system's disk; of the database it also keeps what a power cut would leave."""

    def __init__(self):
        super().__init__("disk", "")
        self.kept, self.unsynced, self.fails = {}, set(), False

    def xOpen(self, name, flags):
        return (Database if flags[0] & apsw.SQLITE_OPEN_MAIN_DB else apsw.VFSFile)("", name, flags)


class Database(apsw.VFSFile):
    def xWrite(self, data, at):
        super().xWrite(data, at)
        disk.unsynced.update(range(at // PAGE, (at + len(data) - 1) // PAGE + 1))

    def xSync(self, flags):
        written = {page: self.xRead(PAGE, page * PAGE) for page in disk.unsynced}
        disk.unsynced.clear()  # where it fails, too: it is said once, and the pages count as clean
        if disk.fails:
            disk.fails = False
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)
        disk.kept.update(written)


def connected(path):
    db = apsw.Connection(str(path), vfs="disk")
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    for pragma, value in (("journal_mode", "wal"), ("synchronous", "full"), ("wal_autocheckpoint", 0)):
        db.pragma(pragma, value)
    return db


def left_by_a_power_cut(path, *, reads, fails, retry="PASSIVE", anew=False):
    """Three tables' only rows, each of which was committed as 1, and what `integrity_check` says."""
    disk.kept.clear()
    db, reader = connected(path), connected(path)
    for table in ("early", "late", "last"):
        db.execute(f"CREATE TABLE {table} (n INTEGER NOT NULL); INSERT INTO {table} VALUES (0)")
    db.wal_checkpoint()
    assert len(disk.kept) == 4 and not disk.unsynced, "the tables are on the disk"
    db.execute("UPDATE early SET n = 1")
    reader.execute("BEGIN; SELECT n FROM early").get
    db.execute("UPDATE late SET n = 1")
    if reads:
        assert db.wal_checkpoint() == (2, 1), "one page of two is brought: it behaves otherwise now"
    reader.execute("COMMIT")
    disk.fails = fails
    try:
        db.wal_checkpoint()
    except apsw.IOError as fault:
        assert fails and fault.extendedresult == apsw.SQLITE_IOERR_FSYNC
    if anew:
        db.close()
        reader.close()
        db = connected(path)
    answer = db.wal_checkpoint(mode=getattr(apsw, f"SQLITE_CHECKPOINT_{retry}"))
    assert answer == ((0, 0) if retry == "TRUNCATE" else (2, 2)), answer
    db.execute("UPDATE last SET n = 1")  # where the log begins anew
    rows = "SELECT early.n, late.n, last.n FROM early, late, last"
    assert db.execute(rows).get == (1, 1, 1), "all can be read before"

    left = path.with_suffix(".left")
    left.write_bytes(b"".join(page for _, page in sorted(disk.kept.items())))
    shutil.copy(f"{path}-wal", f"{left}-wal")  # all that was written of it
    after = apsw.Connection(str(left))
    found = after.execute(rows).get, after.pragma("integrity_check")
    print(f"beside a reader: {reads}, a failed sync: {fails}, then {'opened anew, ' * anew}{retry}: {found}")
    return found


disk, folder = Disk(), pathlib.Path(sys.argv[1])
print("SQLite", apsw.sqlite_lib_version())
whole, lost = ((1, 1, 1), "ok"), ((0, 1, 1), "ok")
assert left_by_a_power_cut(folder / "1.db", reads=True, fails=False) == whole
assert left_by_a_power_cut(folder / "2.db", reads=False, fails=True) == whole
assert left_by_a_power_cut(folder / "3.db", reads=True, fails=True) == lost, "it behaves otherwise now"
assert left_by_a_power_cut(folder / "4.db", reads=True, fails=True, retry="TRUNCATE") == lost, "otherwise now"
assert left_by_a_power_cut(folder / "5.db", reads=True, fails=True, anew=True) == whole
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
