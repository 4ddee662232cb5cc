"""Redrives keep their sums, take no letter twice and stop when they must, whatever crashes."""

from __future__ import annotations

import pytest

from tests.simulation.redrive_mutants import MUTANTS, Mutant
from tests.simulation.redriving import MARKS, play

SEEDS, CHUNK = 500, 250

WITHIN = 100
"""Seeds within which a broken one must be caught: each is by at least one of fifty."""


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_what_is_promised_of_redrives(first: int) -> None:
    for seed in range(first, first + CHUNK):
        broken = play(seed).broken
        assert not broken, f"seed {seed}: {broken[:3]}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.kind.__name__)
def test_a_broken_redrive_is_caught(mutant: Mutant) -> None:
    others: set[str] = set()
    for seed in range(WITHIN):
        broken = {one.promise for one in play(seed, mutant.kind).broken}
        if mutant.promise in broken:
            return
        others |= broken
    pytest.fail(f"{mutant.kind.__doc__}: not caught, but {sorted(others)}", pytrace=False)


def test_rare_things_do_happen_to_redrives() -> None:
    reached: set[str] = set()
    for seed in range(SEEDS):
        reached |= play(seed).marks
        if reached >= MARKS:
            return
    assert not MARKS - reached
