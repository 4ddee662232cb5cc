"""Why a process writes nothing more to a ledger that it has open."""

from __future__ import annotations

from typing import Final, NamedTuple


class Loss(NamedTuple):
    """Why nothing more is written: for who runs the service, and in words for everybody."""

    why: str
    words: str


GONE: Final = Loss(
    "the ledger's file was removed or replaced while it was in use: only a restart ends that",
    "has lost its file: it was removed or replaced while it was in use",
)
CUT: Final = Loss(
    "the ledger's log was cut while it was in use, and what was in it is lost: keep a copy of all "
    "files; a restart goes on with what is in the database",
    "has lost its log: it was cut while it was in use",
)
DAMAGED: Final = Loss(
    "the ledger's file is damaged: stop the service, keep the file and what is beside it, and "
    "restore a backup",
    "is damaged",
)
TOLD: Final = Loss(
    "the ledger's file was removed or replaced while it was in use, or is damaged, as another "
    "process has found: only a restart ends that",
    GONE.words,
)
