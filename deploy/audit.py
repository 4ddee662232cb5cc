"""Asks pip-audit for known vulnerabilities of the versions in constraints.txt.

`python deploy/audit.py PIP_AUDIT [ARGUMENTS]`: 0 none is known, 1 some are, 2 nothing was audited,
since the data could not be had.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"

NOT_AUDITED = (
    "unlost: nothing was audited: the data of known vulnerabilities could not be had from here;"
    " run `make audit` where it can (ARGS='--vulnerability-service osv' asks another source)"
)


def audit(program: str, arguments: list[str]) -> int:
    """Run it and pass on what it says; the exit status."""
    done = subprocess.run(
        [program, "--disable-pip", "--no-deps", "--strict", "--progress-spinner=off",
         "--requirement", str(CONSTRAINTS), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(done.stdout, end="")
    if done.returncode == 0 or "known vulnerabilit" in done.stderr:
        print(done.stderr, end="", file=sys.stderr)
        return done.returncode
    last = done.stderr.strip().splitlines()[-1:]
    print(*last, NOT_AUDITED, sep="\n", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(audit(sys.argv[1], sys.argv[2:]))
