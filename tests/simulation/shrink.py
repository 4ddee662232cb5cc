"""Makes a failure small: takes away what it does not need."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.run import SHIPPED, Run, run
from tests.simulation.scenario import KINDS, OUTCOMES, Draw, Reduced, Scenario, draw
from tests.simulation.stage import Parts

SHUFFLES = 4
"""Other orders of steps that are tried where a smaller scenario does not fail at once."""


def shrink(failed: Run, parts: Parts = SHIPPED, drawn: Draw = draw) -> tuple[Reduced, Run]:
    """A smaller run that breaks the first promise that `failed` breaks, and what was taken away."""
    promise, seed = failed.broken[0].promise, failed.scenario.seed
    best, found = Reduced(shuffle=failed.scenario.shuffle), failed
    for smaller in _candidates(failed.scenario):
        if smaller.only and best.only:
            continue
        for shuffle in range(SHUFFLES):
            reduced = _joined(best, smaller, shuffle)
            tried = run(drawn(seed, reduced), parts)
            if promise in {broken.promise for broken in tried.broken}:
                best, found = reduced, tried
                break
    return best, found


def _candidates(scenario: Scenario) -> Iterator[Reduced]:
    """What to take away, the largest pieces first."""
    ids = sorted({one.submission.task_id for one in scenario.submissions})
    for task_id in ids if len(ids) > 1 else ():
        yield Reduced(only=task_id)
    if scenario.hosts > 1:
        yield Reduced(hosts=1)
    struck = {strike.kind for strike in scenario.strikes}
    for kind in KINDS:
        if kind in ("act", "replay") or scenario.rate(kind) or kind in struck:
            yield Reduced(without=(kind,))
    for outcome in OUTCOMES[1:]:
        if outcome in scenario.outcomes:
            yield Reduced(without=(outcome,))


def _joined(best: Reduced, smaller: Reduced, shuffle: int) -> Reduced:
    return Reduced(
        (*best.without, *smaller.without),
        best.only or smaller.only,
        best.hosts or smaller.hosts,
        shuffle or best.shuffle,
    )
