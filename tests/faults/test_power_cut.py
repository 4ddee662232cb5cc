"""The power fails at any moment: what was answered is there, what was not is there wholly or not
at all, and the ledger goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.faults import cutting
from tests.faults.machine import Machine
from tests.faults.mutants import FOUND_BY_CUTS, Mutant
from tests.faults.replay import first_found, run_all


def test_a_power_cut_takes_back_nothing_that_was_answered(
    machine: Machine, cut_seeds: Sequence[int]
) -> None:
    run_all(cutting.run, machine, cut_seeds, "tests/faults/test_power_cut.py")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_seed_is_a_run(machine: Machine, seed: int) -> None:
    first, second = (asyncio.run(cutting.run(machine, seed)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("mutant", FOUND_BY_CUTS, ids=lambda mutant: mutant.__name__)
def test_a_mistake_is_found_within_its_number_of_cuts(machine: Machine, mutant: Mutant) -> None:
    with mutant(machine):
        assert first_found(cutting.run, machine, FOUND_BY_CUTS[mutant] // cutting.CUTS) is not None
