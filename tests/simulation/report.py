"""What a person gets to see of a failing seed: the promise, a small trace, and how to replay it."""

from __future__ import annotations

from tests.simulation.run import SHIPPED, Run
from tests.simulation.scenario import Draw, Reduced, draw
from tests.simulation.shrink import shrink
from tests.simulation.stage import Parts
from tests.simulation.trace import told

FIRST, LAST = 120, 30
"""Lines of a trace that are shown from its beginning and its end."""


def report(failed: Run, parts: Parts = SHIPPED, drawn: Draw = draw) -> str:
    """Everything about a run that broke a promise."""
    reduced, small = shrink(failed, parts, drawn)
    seed = failed.scenario.seed
    lines = [f"seed {seed} breaks:", *(f"  {one.promise}: {one.detail}" for one in failed.broken)]
    lines += ["replay it with:", f"  {command(seed, Reduced(), drawn)}"]
    if small is not failed:
        lines += ["and its smallest form with:", f"  {command(seed, reduced, drawn)}"]
        lines += [f"  {one.promise}: {one.detail}" for one in small.broken]
    trace = list(told(small.history.events))
    left_out = len(trace) - FIRST - LAST
    if left_out > 0:
        trace[FIRST:-LAST] = [f"  … {left_out} lines …"]
    return "\n".join(lines + trace)


def command(seed: int, reduced: Reduced, drawn: Draw = draw) -> str:
    """The command that plays a seed again."""
    pull = "" if drawn is draw else "--pull "
    return f"python -m tests.simulation {pull}--seed {seed} {reduced.flags()}".rstrip()
