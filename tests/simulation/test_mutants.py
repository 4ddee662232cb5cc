"""The simulation finds bugs: each broken variant is caught, and for the right reason."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.run import run
from tests.simulation.scenario import draw


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.split(":")[0])
def test_a_mutant_is_caught(mutant: Mutant) -> None:
    others: set[str] = set()
    for seed in range(mutant.first, mutant.first + mutant.within):
        broken = {one.promise for one in run(draw(seed), mutant.parts).broken}
        if mutant.promise in broken:
            return
        others |= broken
    pytest.fail(
        f"{mutant.name} did not break {mutant.promise!r} in {mutant.within} seeds"
        f" from {mutant.first} on (but {sorted(others)})",
        pytrace=False,
    )
