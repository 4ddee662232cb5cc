"""Every promise of the contract, over thousands of seeds of faults."""

from __future__ import annotations

import pytest

from tests.simulation.facts import Facts
from tests.simulation.marks import MARKS, reached
from tests.simulation.report import report
from tests.simulation.run import run
from tests.simulation.scenario import draw

WITHIN = 600
"""Seeds within which every mark must be reached."""


def test_no_seed_breaks_a_promise(seeds: range) -> None:
    for seed in seeds:
        played = run(draw(seed))
        if played.broken:
            pytest.fail(report(played), pytrace=False)


def test_rare_things_do_happen() -> None:
    missing = MARKS
    for seed in range(WITHIN):
        missing -= reached(Facts(run(draw(seed)).history.events), missing)
        if not missing:
            return
    assert not missing, f"never in {WITHIN} seeds: {sorted(missing)}"
