"""Schedules under faults: each time is counted once, and broken variants are caught."""

from __future__ import annotations

import pytest

from tests.simulation import ticking
from tests.simulation.tick_mutants import MUTANTS
from tests.simulation.ticking import Parts

SEEDS = 300
WITHIN = 400


@pytest.mark.parametrize("start", range(0, SEEDS, 100))
def test_every_time_is_accounted_for(start: int) -> None:
    for seed in range(start, start + 100):
        assert ticking.run(seed) == [], f"seed {seed}"


@pytest.mark.parametrize(("name", "parts"), MUTANTS, ids=[name for name, _ in MUTANTS])
def test_a_broken_variant_is_caught(name: str, parts: Parts) -> None:
    assert any(ticking.run(seed, parts) for seed in range(WITHIN)), name
