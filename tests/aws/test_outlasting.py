"""An outage of a second is outlasted on every boto3 that users have; what lasts is told at once.

The clients run in a program of their own, on the boto3 of constraints.txt and on the newest one,
against a server that is out of order as HTTP has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.aws.emulator import REGION
from tests.aws.outages import Outages, outages
from tests.aws.outlasting import QUEUES, TABLES

ROOT = Path(__file__).resolve().parents[2]
NEWEST = ROOT / ".venv" / "newest-boto3"

OUTLASTED = [
    *(name for name in (*TABLES, *QUEUES) if name.startswith(("down", "throttled", "reset"))),
    "down-after-failures",
]
LASTING = {
    "denied": "dynamodb:PutItem on the table denied is not allowed",
    "missing": "DynamoDB has no table missing here",
    "denied-q": "AccessDenied",
}


def run(here: Outages, packages: Path | None) -> tuple[tuple[int, ...], dict[str, str]]:
    """The version of boto3, and what became of each call."""
    if packages is not None and not packages.exists():
        raise FileNotFoundError(f"no boto3 at {packages}: `make test` installs it")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": "" if packages is None else str(packages),
        "AWS_ENDPOINT_URL": here.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.aws.outlasting", here.url],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=120,
    )  # fmt: skip
    told = json.loads(done.stdout)
    return tuple(map(int, told["boto3"].split("."))), told["found"]


@pytest.mark.parametrize(
    ("packages", "is_new"), [(None, False), (NEWEST, True)], ids=["pinned", "newest"]
)
def test_what_passes_is_outlasted_and_what_lasts_is_told_at_once(
    packages: Path | None, is_new: bool
) -> None:
    with outages() as here:
        version, found = run(here, packages)
    assert (version >= (1, 44)) is is_new
    ways = Counter(name.partition("-")[0] for name in OUTLASTED)
    assert ways == {"down": 5 + 5 + 1, "throttled": 2, "reset": 2}
    assert {name: found[name] for name in OUTLASTED} == dict.fromkeys(OUTLASTED, "answered")
    assert all(here.asked[name] > 1 for name in OUTLASTED)
    for name, says in LASTING.items():
        assert says in found[name]
        assert here.asked[name] == 1
