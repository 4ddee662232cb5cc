"""Play seeds: `python -m tests.simulation --seed N [--count M]`.

Prints each seed that breaks a promise, with a small trace.  With one seed, its whole trace.
Exits 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.pulling import scenario as pulling
from tests.simulation.report import report
from tests.simulation.run import Run, run
from tests.simulation.scenario import KINDS, OUTCOMES, Reduced, draw
from tests.simulation.trace import told

EVERY = 5.0
"""Seconds between two lines of progress."""


def main() -> int:
    asked = _parse()
    reduced = Reduced(tuple(asked.without), asked.only, asked.hosts, asked.shuffle)
    drawn = pulling.draw if asked.pull else draw
    broken = 0
    begun = shown = time.monotonic()
    for seed in range(asked.seed, asked.seed + asked.count):
        played = run(drawn(seed, reduced))
        broken += bool(played.broken)
        if asked.hashes:
            print(seed, played.history.digest())
        elif asked.count == 1:
            _show(played)
        elif played.broken:
            print(report(played, drawn=drawn), flush=True)
        if time.monotonic() - shown > EVERY:
            shown = time.monotonic()
            done = seed - asked.seed + 1
            rate = done / (shown - begun)
            print(f"{done} seeds, {broken} broken, {rate:.0f} a second", file=sys.stderr)
    if not asked.hashes:
        print(f"{asked.count} seeds, {broken} broken")
    return 1 if broken else 0


def _show(played: Run) -> None:
    print("\n".join(told(played.history.events)))
    for one in played.broken:
        print(f"{one.promise}: {one.detail}")
    print(f"{played.seconds:.3f} simulated seconds, trace {played.history.digest()}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    told = "with workers that claim by the API"
    parser.add_argument("--pull", action="store_true", help=told)
    parser.add_argument("--hashes", action="store_true", help="print each seed's trace hash only")
    kinds = sorted({*KINDS, *OUTCOMES})
    meaning = f"leave out a kind of fault, act or outcome: {', '.join(kinds)}"
    parser.add_argument(
        "--without", action="append", default=[], choices=kinds, metavar="KIND", help=meaning
    )
    parser.add_argument("--only", metavar="TASK", help="leave out all other tasks")
    parser.add_argument("--hosts", type=int, help="at most so many hosts")
    parser.add_argument("--shuffle", type=int, default=0, help="another order of steps")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
