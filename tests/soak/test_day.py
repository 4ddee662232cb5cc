"""A very short day: what is left when it is over."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest


@pytest.mark.soak
def test_a_day_of_twenty_seconds_loses_nothing() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "bench.day", "--hours", "0.006", "--rate", "40", "--every", "2",
            "--harm", "4", "--folder", folder,
        ]  # fmt: skip
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
        report = Path(folder, "report.txt").read_text()
        samples = Path(folder, "samples.jsonl").read_text()
        assert told.returncode in (0, 1), told  # so little time cannot show what grows
        assert "WRONG" not in report, report
        assert all(f'"home":"{home}"' in samples for home in ("sqlite", "postgres"))
        assert Path(folder, "day.svg").read_text().startswith("<svg")
