"""What handlers print in a function is in its log, whatever their module does to `logging`."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging, sys
from unlost.aws.logs import Logs
from unlost.aws.process import Prints

Logs(sys.stdout)
prints = Prints()
logging.basicConfig(force=True)
print("printed")
logging.warning("logged")
logging.disable(logging.CRITICAL)
logging.getLogger().handlers.clear()
print("printed again")
prints.flush()
"""


def test_each_line_arrives_once() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    told = [(line["event"], line["service"], line["stream"], line["text"]) for line in lines]
    assert told == [
        ("handler.output", "unlost", "stdout", "printed"),
        ("handler.output", "unlost", "stderr", "WARNING:root:logged"),
        ("handler.output", "unlost", "stdout", "printed again"),
    ]
