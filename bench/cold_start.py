"""Cold start: what the functions' imports cost, beside the same API on FastAPI (`peer_api`).

    python -m bench.cold_start [--python PATH] [--rounds N]

`--python` is an interpreter that has boto3, mangum, msgspec, starlette, aws-lambda-powertools and
fastapi (this repository is put on its path).  Each figure is CPU time, the best of N fresh
interpreters taken in turns, so that what else the machine does matters little.  Exit status 1 if
the API's import takes 0.6 of FastAPI's or more.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BOUND = 0.6
ROOT = Path(__file__).parents[1]

# What the function is before its first call: clients made, app built.
OURS = """
import os
os.environ.update(AWS_LAMBDA_FUNCTION_NAME="f", UNLOST_TABLE="t", UNLOST_QUEUE_URL="q",
                  UNLOST_DEAD_LETTER_QUEUE_URL="d", AWS_DEFAULT_REGION="eu-central-1")
import unlost.aws.{name}
"""
PEER = "import bench.peer_api"
PEER_MADE = """
import boto3, bench.peer_api
for service in ("dynamodb", "sqs"):
    boto3.client(service, region_name="eu-central-1")
"""

CASES = {
    "nothing": "pass",
    "the peer, imported": PEER,
    "api, imported": "import unlost.aws.api",
    "process, imported": "import unlost.aws.process",
    "monitor, imported": "import unlost.aws.monitor",
    "sweep, imported": "import unlost.aws.sweep",
    "count, imported": "import unlost.aws.count",
    "the peer with its clients": PEER_MADE,
    "api, ready for its first call": OURS.format(name="api"),
    "process, ready for its first call": OURS.format(name="process"),
}

TIMED = """
import sys, time
sys.path[:0] = {paths!r}
began = time.process_time()
{code}
sys.__stdout__.write(f"{{time.process_time() - began}} {{len(sys.modules)}}")
"""


def once(python: str, code: str, compiled: str) -> tuple[float, int]:
    """CPU seconds that the code took in an interpreter of its own, and how many modules it has.

    What is compiled goes to, and comes from, the folder `compiled`.
    """
    script = TIMED.format(paths=[str(ROOT / "src"), str(ROOT)], code=code)
    environment = {"PATH": os.defpath, "PYTHONPYCACHEPREFIX": compiled}
    told = subprocess.run(
        [python, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout
    seconds, modules = told.split()[-2:]
    return float(seconds), int(modules)


def measure(python: str, rounds: int) -> dict[str, tuple[float, int]]:
    """The best of so many rounds, for each case."""
    best: dict[str, tuple[float, int]] = {}
    with tempfile.TemporaryDirectory() as compiled:
        for number in range(rounds + 1):
            for name, code in CASES.items():
                found = once(python, code, compiled)
                if number:  # the first one only compiled
                    best[name] = min(best.get(name, found), found)
    return best


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.cold_start", description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    best = measure(given.python, given.rounds)
    for name, (seconds, modules) in best.items():
        print(f"{name:34} {seconds * 1000:6.0f} ms  {modules:4} modules")
    ratio = best["api, imported"][0] / best["the peer, imported"][0]
    ready = best["api, ready for its first call"][0] / best["the peer with its clients"][0]
    print(f"api : peer, imported {ratio:.2f} (bound < {BOUND}), ready {ready:.2f}")
    return 0 if ratio < BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
