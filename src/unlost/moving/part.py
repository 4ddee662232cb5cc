"""The part of an export that an interrupted run has left, and going on after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from unlost.ledger.protocol import Records
from unlost.moving.document import (
    LONGEST_LINE,
    Head,
    NotAnExport,
    Numbered,
    Sum,
    place,
    read_head,
    read_part,
)
from unlost.moving.line import TaskLine


class OtherLedger(Exception):
    """What was begun is the export of another ledger."""


@dataclass(slots=True)
class Part:
    """How far an export has come: its head (None: not even that), its sum, its last task."""

    head: Head | None = None
    sum: Sum = field(default_factory=Sum)
    position: int = 0
    last: TaskLine | None = None

    def add(self, position: int, task: TaskLine) -> None:
        """Count a task that is written."""
        self.sum.add(task)
        self.position, self.last = position, task


def resumed(file: BinaryIO) -> Part:
    """What is whole in a file; it is cut after that, and stands at its end.

    Raises NotAnExport where the file is something else.
    """
    part, end = Part(), 0
    while (text := file.readline(LONGEST_LINE)).endswith(b"\n") and _grown(part, text):
        end += len(text)
    file.seek(end)
    file.truncate()
    return part


def _grown(part: Part, text: bytes) -> bool:
    """Add a line to a part; False for one with which no part goes on."""
    if part.head is None:
        part.head = read_head(text)
        return True
    try:
        found = read_part(text, 0)
        position = place(found, 0) if isinstance(found, Numbered) else 0
    except NotAnExport:  # torn by a power cut
        return False
    if not isinstance(found, Numbered) or position <= part.position:
        return False
    part.add(position, found.task)
    return True


async def check(part: Part, ledger: Records, home: str, redacted: tuple[str, ...] = ()) -> None:
    """Raise OtherLedger where the part did not come from this ledger, or is masked otherwise."""
    if part.head is not None and (part.head.home, part.head.redacted) != (home, redacted):
        raise OtherLedger
    if part.last is None:
        return
    for position, copy in await ledger.copies(part.position - 1, 1):
        task, written = copy.record, part.last
        same = (task.task_id, task.submitted_at) == (written.task_id, written.submitted_at)
        if same and position == part.position:
            return
    raise OtherLedger
