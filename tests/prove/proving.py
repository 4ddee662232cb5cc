"""What the tests of `unlost prove` share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.cli.conftest import Command

HERE = Path(__file__).parent


def only(*kinds: str) -> list[str]:
    """Flags by which these kinds of injection befall every attempt that they may, and no other."""
    every = ("failures", "kills", "duplicates", "lost-answers", "restarts")
    return [f"--{kind}={int(kind in kinds)}" for kind in every]


def command(folder: Path) -> Command:
    """`unlost` in a folder, with the handlers of `prove_app` on the path."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return Command(folder, {"PYTHONPATH": str(HERE), "FOLDER": str(folder), "PATH": path})
