"""Programs in the package's folder, with the Node that osls runs on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "clients" / "typescript"


def environment(**variables: str) -> dict[str, str]:
    """The environment of a program there."""
    path = f"{Path(sys.prefix) / 'emulator' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path} | variables


def run(*words: str, **variables: str) -> tuple[int, str]:
    """Run a program: its status, and what it said.  Nothing that it has started outlives it."""
    with subprocess.Popen(
        words,
        cwd=PACKAGE,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=240)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, said


def named(*names: str) -> list[str]:
    """The words that run these tests: named, since from 22 on Node takes a folder for a module."""
    return ["node", "--test", *(f"test/{name}.test.js" for name in names)]
