"""What a no-op costs the SQLite ledger, beside another build, where nothing is set for its type.

    python -m bench.noops --against PATH [--tasks 20000] [--rounds 9]

Tasks of 20 types are submitted, claimed and settled by one process without workers or HTTP, 200 at
a time.  Told are CPU microseconds a task, the least of all rounds, since others on the machine only
ever add; and the instructions that SQLite's virtual machine carries out, which are the same each
time.  The bound, of each: at most 1 / 0.98 of the other build's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.builds import Build, builds
from unlost.ledger.opening import open_ledger
from unlost.ledger.values import Claim, Settlement, Worker
from unlost.policy import Limits
from unlost.task import SECOND, Event, Outcome, Submission

BOUND: Final = 1 / 0.98
AT_ONCE: Final = 200
TYPES: Final = 20
EACH: Final = 10
"""Instructions after which SQLite calls back; the tenth part of an exact count."""


class Cost(msgspec.Struct, frozen=True):
    """Microseconds of CPU and instructions of SQLite's virtual machine, a task."""

    cpu: float
    instructions: float


async def cost(folder: Path, tasks: int) -> Cost:
    """What so many tasks cost this very process's build: CPU without a count, then the count."""
    cpu = await _work(folder / "cpu.db", tasks)
    counted = [0]

    def count() -> bool:
        counted[0] += EACH
        return False

    few = tasks // 10
    await _work(folder / "count.db", few, count)
    return Cost(cpu / tasks * 1e6, counted[0] / few)


async def _work(file: Path, tasks: int, each: Any = None) -> float:
    """Have so many tasks come to their end; the seconds of CPU."""
    ledger: Any = await open_ledger(f"sqlite:///{file}")
    if each is not None:
        ledger._writer._db.set_progress_handler(each, EACH)
    await ledger.enlist(Worker("w"), 3_600 * SECOND)
    digest, limits = sha256(b"{}").digest(), Limits(5, 60.0)
    began = time.process_time()
    for batch in _batches(tasks):
        new = [Submission(f"t{n}", "{}", digest, type=f"type{n % TYPES}") for n in batch]
        await ledger.submit(new)
    for batch in _batches(tasks):
        claim = Claim("w", [f"token{n}" for n in batch], None, limits)
        done = [
            Settlement(one.task_id, one.token, Outcome.SUCCEEDED, Event.SUCCEED)
            for one in await ledger.claim(claim)
        ]
        if not all(await ledger.settle(done)) or len(done) != len(batch):
            raise RuntimeError("it did not claim and settle all")
    seconds = time.process_time() - began
    await ledger.close()
    return seconds


def _batches(tasks: int) -> Iterator[range]:
    return (range(at, min(at + AT_ONCE, tasks)) for at in range(0, tasks, AT_ONCE))


def measured(build: Build, tasks: int) -> Cost:
    """The same by a process of a build."""
    command = [sys.executable, "-m", "bench.noops", "--tasks", str(tasks), "--one"]
    environment = build.environment or dict(os.environ)
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=Cost)


def main() -> int:
    """Measure in turns, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.noops", description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--against", type=Path, help="another checkout, measured in turns")
    parser.add_argument("--one", action="store_true", help="of this build alone, as JSON")
    chosen = parser.parse_args()
    if chosen.one:
        with tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(cost(Path(folder), chosen.tasks))
        sys.stdout.buffer.write(msgspec.json.encode(found))
        return 0
    every = builds(chosen.against)
    rounds = [[measured(build, chosen.tasks) for build in every] for _ in range(chosen.rounds)]
    least = [
        Cost(min(one.cpu for one in costs), min(one.instructions for one in costs))
        for costs in zip(*rounds, strict=True)
    ]
    for build, one in zip(every, least, strict=True):
        print(f"{build.commit}: {one.cpu:.1f} µs of CPU and {one.instructions:.0f} instructions")
    if len(every) == 1:
        return 0
    ours, theirs = least
    cpu, instructions = ours.cpu / theirs.cpu, ours.instructions / theirs.instructions
    told = f"{cpu:.3f} and {instructions:.3f} times (bound: {BOUND:.3f})"
    print(f"this build beside the other: {told}")
    return 0 if max(cpu, instructions) <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
