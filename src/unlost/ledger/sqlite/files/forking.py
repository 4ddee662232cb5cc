"""A handler may fork; the child must not touch the ledger through what it inherited."""

from __future__ import annotations

import os

from unlost.ledger.sqlite.files.identity import Files, Identity, descriptors, identity

_guarded: list[Files] = []
_registered = False


def guard_forks(files: Files) -> None:
    """From now on, forked children of this process lose these files, wherever their names are.

    Their descriptors are pointed at the null device, not closed: a number that is free again
    could be taken by another file, which SQLite would then close or unlock.
    """
    global _registered  # noqa: PLW0603 - what is registered stays so
    if not _registered:
        os.register_at_fork(after_in_child=_disconnect)
        _registered = True
    _guarded.append(files)


def unguard_forks(files: Files) -> None:
    """They are closed: other files may get their inodes."""
    _guarded.remove(files)


def in_use(file: Identity | None) -> bool:
    """Whether this process has the file open as a ledger's."""
    return any(file in files.identities() for files in list(_guarded))


def _disconnect() -> None:
    files = {one for guarded in _guarded for one in guarded.identities()}
    files.discard(None)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in descriptors():
        if identity(descriptor) in files:
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)
