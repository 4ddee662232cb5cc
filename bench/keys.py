"""What keys cost single submits at 64 connections: with keys beside without, in one run.

    python -m bench.keys [--submits 20000] [--rounds 5]

The bound: 0.97 of the rate without.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Final

import uvloop

from bench.load import Result, drive, request
from bench.measures import CONNECTIONS, READY, bodies
from bench.service import running
from tests.ports import free_port

BOUND: Final = 0.97
WAYS: Final = ("none", "keys")


async def measure(folder: Path, submits: int, rounds: int) -> dict[str, list[Result]]:
    """Submits to a service without keys and to one with, in turns; the first round warms up."""
    key = f"unlost_{secrets.token_urlsafe(32)}"
    ports = {way: free_port() for way in WAYS}
    found: dict[str, list[Result]] = {way: [] for way in WAYS}
    async with AsyncExitStack() as stack:
        for way, port in ports.items():
            ledger = f"sqlite:///{folder}/{way}.db"
            make_key(ledger, key)
            command = ("unlost", "api", "--port", str(port), "--ledger", ledger, "--auth", way)
            await stack.enter_async_context(running(*command, ready=READY))
        for turn in range(-1, rounds):
            for way, port in ports.items():
                wires = [request("/tasks", one, key=key) for one in bodies(submits, f"r{turn}")]
                result = await drive(port, wires, CONNECTIONS)
                if result.refused:
                    raise RuntimeError(f"{result.refused} answers were no 2xx")
                if turn >= 0:
                    found[way].append(result)
    return found


def make_key(ledger: str, key: str) -> None:
    """Keep this key in a ledger, so that both have the same work to do but for asking."""
    command = (
        "unlost",
        "key",
        "create",
        "--ledger",
        ledger,
        "--name",
        "bench",
        "--scope",
        "submit",
    )
    subprocess.run(
        [sys.executable, "-m", *command, "--secret-file", "-"],
        input=key, text=True, check=True, capture_output=True,
    )  # fmt: skip


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.keys", description=__doc__)
    parser.add_argument("--submits", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(measure(Path(folder), chosen.submits, chosen.rounds))
    without, with_keys = (found[way] for way in WAYS)
    ratio = median(one.rate / other.rate for one, other in zip(with_keys, without, strict=True))
    for way, results in found.items():
        print(f"--auth {way}: {median(result.rate for result in results):,.0f} submits/s")
    print(f"with keys beside without: {ratio:.3f} (bound: {BOUND})")
    return 0 if ratio >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
