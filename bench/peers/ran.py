"""What the workers of a run tell of the tasks that they start (`programs/reporting.py`)."""

from __future__ import annotations

from pathlib import Path


class Ran:
    """The file that all of them add to, as far as it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._read = 0
        self.started = 0
        """Tasks that started, but those that say when they were called."""
        self.first = float("inf")
        """When the first of them did, in seconds of the epoch."""
        self.took: list[float] = []
        """Seconds from the call to the start, of those that say when they were called."""
        file.touch()

    def look(self) -> None:
        """Read what was told since the last look."""
        with self.file.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        end = lines.rfind(b"\n") + 1
        self._read += end
        for line in lines[:end].splitlines():
            match line.split():
                case [b"ran", many, since]:
                    self.started += int(many)
                    self.first = min(self.first, float(since))
                case [b"took", seconds]:
                    self.took.append(float(seconds))
                case _:
                    raise ValueError(f"no such line: {line!r}")
