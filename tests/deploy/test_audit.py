"""`make audit` says whether it has audited anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / "deploy" / "audit.py"


@pytest.mark.parametrize(
    ("status", "says", "ends", "told"),
    [
        (0, "No known vulnerabilities found", 0, "No known vulnerabilities found"),
        (1, "Found 2 known vulnerabilities in 1 package", 1, "Found 2 known vulnerabilities"),
        (1, "requests.exceptions.ConnectionError: refused", 2, "nothing was audited"),
        (1, "ERROR:pip_audit._cli:six: Dependency not found", 2, "nothing was audited"),
    ],
)
def test_what_pip_audit_ends_with_is_passed_on(
    tmp_path: Path, status: int, says: str, ends: int, told: str
) -> None:
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\necho 'Traceback' >&2; echo '{says}' >&2; exit {status}\n")
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, AUDIT, program], capture_output=True, text=True, check=False
    )
    assert done.returncode == ends
    assert told in done.stderr
    assert ends < 2 or "Traceback" not in done.stderr
