"""Measure everything in one run and print the table; exit 1 if a bound is missed.

    python -m bench [--scale 5] [--against PATH] [--guard]
    python -m bench --scale-test [--sizes 10000 100000] [--homes sqlite] [--plots docs]

Figures are medians of rounds, in turns with the yardsticks and with the build of another checkout
(`--against`), whose bounds are ratios of rounds.  `--guard` takes less than a minute, measures
submits alone, and adds its line to `bench/RESULTS.md`.  `--scale-test` fills ledgers with up to ten
million tasks, and compares each step at each size with the same on a ledger that is all but new.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench import guard
from bench.builds import Build, builds
from bench.growth import run as growth
from bench.rows import Row, measure
from bench.service import environment


def print_rows(rows: list[Row], every: list[Build]) -> bool:
    """Print the table; whether every bound holds."""
    title = f"unlost {every[0].commit} — {environment()}"
    if len(every) > 1:
        title += f" — against {every[1].commit}"
    table = Table("what", "figure", "bound", "", title=title)
    for row in rows:
        table.add_row(row.what, row.figure, row.bound, "" if row.holds else "MISSED")
    Console().print(table)
    return all(row.holds for row in rows)


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--scale", type=int, default=5, help="how much work (5: some minutes)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--against", type=Path, help="another checkout, measured in turns with this"
    )
    parser.add_argument("--folder", type=Path, help="where the ledgers lie (its disk counts)")
    parser.add_argument("--guard", action="store_true", help="submits alone, in under a minute")
    _of_growth(parser)
    chosen = parser.parse_args()
    if chosen.scale_test:
        return _grow(chosen)
    every = builds(chosen.against)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        if chosen.guard:
            guard.keep(uvloop.run(guard.measure(Path(folder))))
            return 0
        rows = uvloop.run(measure(Path(folder), every, chosen.scale, chosen.rounds))
    return 0 if print_rows(rows, every) else 1


def _of_growth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale-test", action="store_true", help="steps as ledgers grow")
    parser.add_argument("--sizes", type=int, nargs="+", default=growth.SIZES, help="finished tasks")
    parser.add_argument("--homes", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--plots", type=Path, help="a folder for the plots of --scale-test")


def _grow(chosen: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        measured = growth.measure(
            chosen.homes, Path(folder), sorted(chosen.sizes), chosen.rounds, tasks=10_000
        )
        found = uvloop.run(measured)
    if chosen.plots:
        for one in found:
            (chosen.plots / f"growth-{one.home.lower()}.svg").write_text(growth.picture(one))
    return 0 if all(one.holds for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
