"""What is measured: this checkout, and another one in turns with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import msgspec


class Build(msgspec.Struct, frozen=True):
    """A checkout; None: this one.  Another runs with this one's packages, but with its own code."""

    source: Path | None = None

    @property
    def environment(self) -> dict[str, str] | None:
        """What its processes get."""
        if self.source is None:
            return None
        return os.environ | {"PYTHONPATH": str(self.source.resolve() / "src")}

    @property
    def commit(self) -> str:
        """Its commit, if Git knows one."""
        place = self.source or Path(__file__).parent
        git = ["git", "-C", str(place), "describe", "--always", "--dirty"]
        said = subprocess.run(git, capture_output=True, text=True, check=False)
        return said.stdout.strip() or "unknown"


THIS: Final = Build()


def builds(against: Path | None) -> list[Build]:
    """This build, and the other, if there is one."""
    return [THIS] if against is None else [THIS, Build(against)]
