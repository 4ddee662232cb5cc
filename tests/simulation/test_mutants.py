"""The simulation finds bugs: each broken variant is caught, and for the right reason."""

from __future__ import annotations

import pytest

from tests.simulation.mutant import Mutant, catch
from tests.simulation.mutants import MUTANTS
from tests.simulation.scenario import draw


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.split(":")[0])
def test_a_mutant_is_caught(mutant: Mutant) -> None:
    catch(mutant, draw)
