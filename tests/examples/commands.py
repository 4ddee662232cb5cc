"""The commands of an example's README, run as written, in a copy of its folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from tests.docs.pages import ROOT, blocks

EXAMPLES = ROOT / "examples"


def commands(example: str) -> list[str]:
    """What its README has one type to start it."""
    return [block.strip() for block in blocks(EXAMPLES / example / "README.md", "sh")]


def copied(example: str, folder: Path) -> Path:
    """The example's files elsewhere, as somebody has them who has just got them."""
    left = shutil.ignore_patterns("node_modules", "dist", "__pycache__", "*.db*")
    return shutil.copytree(EXAMPLES / example, folder / example, ignore=left)


@contextlib.contextmanager
def started(command: str, folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until the block ends; what it says is in `folder`'s file `said`."""
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), f"{sys.prefix}/emulator/bin", os.environ["PATH"]]
    )
    with (folder / "said").open("ab") as said:
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=folder,
            env=os.environ | {"PATH": path} | variables,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for ending in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, ending)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)


def until(holds: Callable[[], bool], folder: Path, within: float = 60) -> None:
    """Return once this holds; calls that do not come through yet do not."""
    end = time.monotonic() + within
    while True:
        with contextlib.suppress(httpx.TransportError):
            if holds():
                return
        assert time.monotonic() < end, (folder / "said").read_text()
        time.sleep(0.05)
