"""From a seed to a run with workers that claim by the API: a scenario as any, and what they add."""

from __future__ import annotations

from dataclasses import replace as replace_settings
from random import Random

from msgspec.structs import replace

from tests.simulation import scenario
from tests.simulation.pulling.network import KINDS
from tests.simulation.pulling.plan import Pull
from tests.simulation.scenario import (
    HANDLER_LIMITS,
    Planned,
    Reduced,
    Rule,
    Scenario,
    submission,
)

UNTOLD = frozenset({"stubborn"})
"""What handlers do that no worker in one process can answer for."""


CALM = frozenset({"succeed", "fail", "retry", "excuse"})

CROWDED, IN_TIME, TARDY = 0.05, 0.12, 0.06
"""Shares of the runs; in the last nothing goes wrong but calls that take their time."""

CROWD = 90
"""Tasks a worker, of about 0.7 s each."""


def draw(seed: int, reduced: Reduced = Reduced()) -> Scenario:  # noqa: B008  an immutable value
    """The scenario of a seed."""
    random = Random(f"{seed} pull")
    whole = scenario.draw(seed, reduced)
    pull = Pull(
        workers=1 + int(2.5 * random.random()),
        slots=1 + int(3 * random.random()),
        lease=5.0 + 4 * random.random(),
        wait=(0.0, 1.5, 12.0)[int(3 * random.random())],
        faults=_faults(random),
        services=1 + (random.random() < 0.3),
    )
    if random.random() < 0.4:  # else what is lost has mostly timed out before
        longer = replace_settings(whole.settings, attempt_timeout=8.0 + 20 * random.random())
        whole = replace(whole, settings=longer)
    kind = random.random()
    if kind < CROWDED:
        return _crowded(whole, pull, random)
    if kind < CROWDED + IN_TIME:
        return _in_time(whole, replace(pull, wait=4.0, faults={}, in_time=True))
    if kind < CROWDED + IN_TIME + TARDY:
        whole = replace(whole, rates={}, strikes=())
        pull = replace(pull, faults={"slow": 0.4, "unanswered": 0.2})
    hosts = whole.hosts if random.random() < 0.5 else 0
    marks = tuple(sorted(_marks(random, whole.window), key=lambda rule: rule.at))
    return replace(
        whole,
        hosts=hosts,
        together=whole.together and hosts > 0,
        rules=tuple(sorted((*whole.rules, *marks), key=lambda rule: rule.at)),
        outcomes=tuple(one for one in whole.outcomes if one not in UNTOLD),
        asks=(),
        pull=pull,
    )


def _crowded(whole: Scenario, pull: Pull, random: Random) -> Scenario:
    """Far more tasks than can run at once, and now and then one that ends its worker."""
    workers = 1 + (random.random() < 0.15)
    planned = tuple(
        Planned(1.0 * random.random(), 0, submission(f"t{number}", "{}", {"type": "default"}))
        for number in range(round(CROWD * workers))
    )
    return replace(
        whole,
        hosts=0,
        together=False,
        settings=replace_settings(whole.settings, attempt_timeout=30.0, max_retries=3, retain=None),
        submissions=tuple(sorted(planned, key=lambda one: one.at)),
        acts=(),
        strikes=(),
        rules=(),
        asks=(),
        rates={},
        outcomes=("succeed",) * 80 + ("abort",),
        pull=replace(pull, workers=workers, slots=2, services=1, faults={}, is_crowded=True),
    )


def _in_time(whole: Scenario, pull: Pull) -> Scenario:
    """Nothing goes wrong but that hints are lost."""
    return replace(
        whole,
        hosts=0,
        together=False,
        strikes=(),
        rules=(),
        asks=(),
        rates={"hints": 0.8},
        outcomes=tuple(one for one in whole.outcomes if one in CALM),
        pull=pull,
    )


def _faults(random: Random) -> dict[str, float]:
    """None, one kind that strikes often, or some kinds that do not."""
    chance = random.random()
    if chance < 0.15:
        return {}
    if chance < 0.4:
        rates = {KINDS[int(len(KINDS) * random.random())]: 0.1 + 0.4 * random.random()}
    else:
        wild = 0.1 + 0.2 * random.random()
        rates = {kind: wild * random.random() for kind in KINDS if random.random() < 0.5}
    for kind in ("crash", "pause", "down", "stopped"):
        if kind in rates:
            rates[kind] *= 0.5
    return rates


def _marks(random: Random, window: float) -> list[Rule]:
    """Types that are left to workers that claim by the API, for a while or for good."""
    found = []
    for name in HANDLER_LIMITS:
        if random.random() < 0.4:
            at = 0.0 if random.random() < 0.5 else window * random.random()
            found.append(Rule(at, "pull", name, 1))
            if random.random() < 0.4:
                found.append(Rule(at + window * random.random(), "pull", name, 0))
    return found
