"""osls, as a person at a terminal runs it, towards an emulator and nowhere else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.aws.emulator import interpreter

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy" / "aws"
_OSLS = DEPLOY / "node_modules" / ".bin" / "osls"


def run_osls(environment: Mapping[str, str], *arguments: str, **params: object) -> str:
    """What the command says; `params` are `--param name=value`. Fails the test if it fails."""
    given = [f"--param={name}={value}" for name, value in params.items()]
    done = subprocess.run(
        [_OSLS, *arguments, *given],
        cwd=DEPLOY,
        env={
            **environment,
            # Node as well as Python, where `make test` had to bring it.
            "PATH": os.pathsep.join((str(interpreter().parent), environment.get("PATH", ""))),
            "UNLOST_BUILD_PYTHON": str(interpreter()),
            "SLS_AWS_MONITORING_FREQUENCY": "200",  # ms between looks at the stack; 5 s by default
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
