"""One proof of many handlers, with everything injected, that several tests look at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest

from tests.prove.proving import HERE
from unlost.prove.account import account
from unlost.prove.course import Evidence, Plan, run
from unlost.prove.fates import Rates
from unlost.prove.report import Report
from unlost.prove.submitting import Job

COUNTS = {"once": 24, "prints": 2, "fails": 1, "asks to wait": 2, "rejects": 1}


@dataclass(frozen=True)
class Proof:
    """What a proof left, and where."""

    plan: Plan
    folder: Path
    evidence: Evidence

    def account(self, evidence: Evidence | None = None) -> Report:
        return account(self.plan, evidence or self.evidence, None, "unlost prove …")


def job(kind: str, number: int) -> Job:
    body = {"taskId": f"{kind}-{number}", "type": kind, "payload": {}}
    return Job(f"{kind}-{number}", kind, json.dumps(body).encode())


@pytest.fixture(scope="session")
def proof() -> Iterator[Proof]:
    jobs = tuple(job(kind, number) for kind, count in COUNTS.items() for number in range(count))
    plan = Plan("prove_app:handlers", jobs, 5, Rates(), restarts=2, max_retries=6)
    with TemporaryDirectory(prefix="u") as name:
        folder = Path(name)
        (folder / "effects").mkdir()
        environment = {"PYTHONPATH": str(HERE), "FOLDER": str(folder / "effects")}
        with patch.dict("os.environ", environment):
            evidence = asyncio.run(run(plan, folder, lambda _: None))
        yield Proof(plan, folder, evidence)
