"""A story as text: commands, each with what came of it below, and prose between them.

    # A comment, which stays as it is.
    submit a
    ----
    accepted
    a  queued

What stands below the dashes is what has to be seen, to the letter.  An empty line parts one
command from the next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import msgspec

TOLD = Path(__file__).parent / "told"
RULE = "----"


class Part(msgspec.Struct, frozen=True):
    """Prose, and the command that may follow it."""

    prose: tuple[str, ...]
    command: str | None
    output: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The part as it stands in the file."""
        if self.command is None:
            return list(self.prose)
        return [*self.prose, self.command, RULE, *self.output]


def read(text: str) -> Iterator[Part]:
    """The parts of a story.  Raises ValueError for text that is none."""
    for paragraph in text.strip().split("\n\n"):
        lines = paragraph.splitlines()
        prose = tuple(line for line in lines if line.startswith("#"))
        rest = lines[len(prose) :]
        if rest[1:2] not in ([], [RULE]):
            raise ValueError(f"a command is one line with {RULE} below it: {rest}")
        yield Part(prose, rest[0] if rest else None, tuple(rest[2:]))


def written(parts: list[Part]) -> str:
    """The story as it stands in the file."""
    return "\n\n".join("\n".join(part.lines) for part in parts) + "\n"


def difference(expected: str, seen: str, name: str) -> str:
    """What is not as it stands in the file, for a person to read; empty where all is."""
    lines = difflib.unified_diff(
        expected.splitlines(),
        seen.splitlines(),
        f"{name} as it is told",
        "what was seen",
        lineterm="",
    )
    return "\n".join(lines)
