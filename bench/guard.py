"""A look at submits in under a minute; its lines are kept, so that a slow drift is seen.

The figures are ratios to yardsticks of the same run, which other machines have as well.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from statistics import median
from typing import Final

from bench import measures
from bench.builds import THIS
from bench.measures import CONNECTIONS
from bench.rows import quantile, ratio
from bench.service import environment

RESULTS: Final = Path(__file__).parent / "RESULTS.md"


async def measure(folder: Path) -> str:
    """The line: a row of the table in RESULTS.md."""
    one = await measures.single_submits(folder, [THIS], 1, 2_000, 3)
    many = await measures.single_submits(folder, [THIS], CONNECTIONS, 8_000, 3)
    batches = median([await measures.batch_submits(folder, THIS, 50_000) for _ in range(3)])
    synced = measures.sync(folder)
    p50, bare = (median(map(quantile(0.5), found)) for found in (one.builds[0], one.bare))
    share = ratio((r.rate for r in many.builds[0]), (r.rate for r in many.bare))
    rates = [median(result.rate for result in found.builds[0]) for found in (one, many)]
    cells = [
        dt.datetime.now(dt.UTC).date().isoformat(),
        THIS.commit,
        environment(),
        f"{rates[0]:,.0f}/s",
        f"{p50 * 1e6:.0f} : ({bare * 1e6:.0f} + {synced * 1e6:.0f}) = {p50 / (bare + synced):.2f}",
        f"{rates[1]:,.0f}/s = {share:.0%}",
        f"{batches:,.0f}/s",
    ]
    return "| " + " | ".join(cells) + " |"


def keep(line: str) -> None:
    """Print the line, and add it to those that are kept."""
    print(line)
    with RESULTS.open("a") as file:
        file.write(line + "\n")
