"""A handler may fork; the child must not touch the ledger through what it inherited."""

from __future__ import annotations

import os
from pathlib import Path

_guarded: set[Path] = set()


def guard_forks(path: Path) -> None:
    """From now on, forked children of this process lose the files of the ledger at `path`.

    Their descriptors are pointed at the null device, not closed: a number that is free again
    could be taken by another file, which SQLite would then close or unlock.
    """
    if not _guarded:
        os.register_at_fork(after_in_child=_disconnect)
    _guarded.add(path)


def _disconnect() -> None:
    files = {
        _identity(f"{path}{suffix}")
        for path in _guarded
        for suffix in ("", "-wal", "-shm", "-lock")
    }
    files.discard(None)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        if _identity(descriptor) in files:
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)


def _identity(file: str | int) -> tuple[int, int] | None:
    try:
        status = os.stat(file)  # noqa: PTH116 - a descriptor as well
    except OSError:
        return None
    return status.st_dev, status.st_ino
