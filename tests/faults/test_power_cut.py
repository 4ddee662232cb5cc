"""The power fails at any moment: what was answered is there, what was not is there wholly or not
at all, and the ledger goes on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from random import Random

import pytest

from tests.conformance.stage import Clock
from tests.faults import cutting
from tests.faults.machine import Machine, Power, all_is_well
from tests.faults.mutants import FOUND_BY_CUTS, Mutant
from tests.faults.replay import first_found, run_all
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite import SqliteLedger


def test_a_power_cut_takes_back_nothing_that_was_answered(
    machine: Machine, cut_seeds: Sequence[int]
) -> None:
    run_all(cutting.run, machine, cut_seeds, "tests/faults/test_power_cut.py")


def test_a_ledger_whose_making_was_cut_off_twice_is_made(machine: Machine) -> None:
    """First as its log is begun, then as what was left of that is cleared away."""
    for seed, first, second in itertools.product(range(40), (10, 11), (8,)):
        machine.start(seed)
        chance = Random(seed)
        for calls in (first, second):
            machine.plan = cutting.CutAfter(calls)
            with contextlib.suppress(LedgerUnavailable):
                asyncio.run(_opened(machine))
            machine.reboot(chance)
        machine.plan = all_is_well
        asyncio.run(_opened(machine))


async def _opened(machine: Machine) -> None:
    try:
        ledger = SqliteLedger(machine.folder / "ledger.db", Clock())
        await ledger.close()
    finally:
        machine.power = Power.GONE


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_seed_is_a_run(machine: Machine, seed: int) -> None:
    first, second = (asyncio.run(cutting.run(machine, seed)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("mutant", FOUND_BY_CUTS, ids=lambda mutant: mutant.__name__)
def test_a_mistake_is_found_within_its_number_of_cuts(machine: Machine, mutant: Mutant) -> None:
    with mutant(machine):
        assert first_found(cutting.run, machine, FOUND_BY_CUTS[mutant] // cutting.CUTS) is not None
