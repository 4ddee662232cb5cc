"""The journal: what happened in the worker processes, as they saw it, apart from any ledger.

One JSON object a line, appended in one write.  What is written survives the process that wrote it,
also if it is killed in the next instant; not the machine's power.
"""

from __future__ import annotations

import os
import time
from enum import StrEnum
from pathlib import Path

import msgspec

from unlost.policy import cut
from unlost.telemetry.logs import write_all

NAME_LIMIT = 1024
"""Bytes of an effect's name that are kept."""


class Kind(StrEnum):
    """What a note says."""

    BEGAN = "began"
    """An attempt began; `what` is its fate."""
    STRUCK = "struck"
    """The fate `what` is being carried out."""
    EFFECT = "effect"
    """The handler said that the effect `what` has happened."""
    MADE = "made"
    """The function of the step `what` has returned; its record is to follow."""
    ENDED = "ended"
    """The handler ended; `what` is "returned" or "raised"."""
    REFUSED = "refused"
    """The late settlement of an attempt that was overtaken changed nothing, as it must."""
    HELD = "held"
    """The late settlement of an attempt that was overtaken held: a promise is broken."""
    RESTART = "restart"
    """All processes of this generation were killed from outside."""


class Note(msgspec.Struct, frozen=True):
    """One line.  `generation` counts the starts of the process tree."""

    kind: Kind
    generation: int
    pid: int
    at: int
    task_id: str = ""
    number: int = 0
    what: str = ""


class Journal:
    """Appends notes; from any thread and process, all to one file."""

    def __init__(self, path: Path, generation: int) -> None:
        self._generation = generation
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(self, kind: Kind, task_id: str = "", number: int = 0, what: str = "") -> None:
        """Write a note down.  Raises OSError."""
        shown = cut(what.encode("utf-8", "backslashreplace").decode(), NAME_LIMIT)
        at = time.time_ns() // 1000
        note = Note(kind, self._generation, os.getpid(), at, task_id, number, shown)
        write_all(self._fd, msgspec.json.encode(note) + b"\n")

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)


def read(path: Path) -> list[Note]:
    """All notes, in the order in which they were written."""
    decode = msgspec.json.Decoder(Note).decode
    return [decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []
