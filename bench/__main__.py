"""Measure everything in one run and print the table; exit 1 if a bound is missed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench import measures
from bench.service import environment

Row = tuple[str, str, str, bool]


async def measure(folder: Path, scale: int) -> list[Row]:
    """All rows: what, figure, bound, whether the bound holds."""
    submits = await measures.single_submits(folder, 4_000 * scale, rounds=5)
    batch = await measures.batch_submits(folder, 20_000 * scale)
    processed = await measures.processing(folder, 10_000 * scale)
    latency = await measures.start_latency(folder, 200, 2.0 * scale)
    few = await measures.claim_time(folder, 1_000)
    many = await measures.claim_time(folder, 200_000 * scale)
    ours, bare = submits.unlost[-1], submits.bare[-1]
    return [
        ("single submits over HTTP, 64 connections", f"{ours.rate:,.0f}/s", "", True),
        ("the same to a bare ASGI app that stores nothing", f"{bare.rate:,.0f}/s", "", True),
        ("ratio (median of 5 rounds)", f"{submits.ratio:.0%}", "≥ 45%", submits.ratio >= 0.45),
        ("ratio of p99", f"{submits.p99_ratio:.1f}x", "", True),
        ("batch submits over HTTP", f"{batch:,.0f} tasks/s", "≥ 40,000", batch >= 40_000),
        ("no-op tasks to their end", f"{processed:,.0f} tasks/s", "≥ 5,000", processed >= 5_000),
        ("submit → start at 200/s, p50", f"{latency.p50:.1f} ms", "< 10 ms", latency.p50 < 10),
        ("submit → start at 200/s, p99", f"{latency.p99:.1f} ms", "", True),
        ("memory of the whole tree (PSS)", f"{latency.memory:.0f} MiB", "", True),
        (f"claim with {200_000 * scale:,} waiting : with 1,000", f"{many / few:.2f}x", "≤ 2x",
         many / few <= 2),
    ]  # fmt: skip


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--scale", type=int, default=5, help="how much work (5: about a minute)")
    scale = parser.parse_args().scale
    with tempfile.TemporaryDirectory() as folder:
        rows = uvloop.run(measure(Path(folder), scale))
    table = Table("what", "figure", "bound", "", title=f"unlost — {environment()}")
    for what, figure, bound, holds in rows:
        table.add_row(what, figure, bound, "" if holds else "MISSED")
    Console().print(table)
    return 0 if all(holds for *_, holds in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
