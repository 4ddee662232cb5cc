"""Workers that claim by the API: every promise, under faults of the network as well."""

from __future__ import annotations

import pytest

from tests.simulation.facts import Facts
from tests.simulation.mutant import Mutant, catch
from tests.simulation.pulling.marks import MARKS, reached
from tests.simulation.pulling.mutants import MUTANTS
from tests.simulation.pulling.scenario import draw
from tests.simulation.report import report
from tests.simulation.run import run

SEEDS, CHUNK = 80, 40
MANY = 4_000


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    _play(range(first, first + CHUNK))


@pytest.mark.soak
@pytest.mark.parametrize("first", range(SEEDS, MANY, 20 * CHUNK))
def test_no_seed_of_many_breaks_a_promise(first: int) -> None:
    _play(range(first, first + 20 * CHUNK))


def _play(seeds: range) -> None:
    for seed in seeds:
        played = run(draw(seed))
        if played.broken:
            pytest.fail(report(played, drawn=draw), pytrace=False)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.split(":")[0])
def test_a_mutant_is_caught(mutant: Mutant) -> None:
    catch(mutant, draw)


@pytest.mark.soak
def test_rare_things_do_happen() -> None:
    missing = frozenset(MARKS)
    for seed in range(MANY):
        missing -= reached(Facts(run(draw(seed)).history.events), missing)
        if not missing:
            return
    assert not missing, f"never in {MANY} seeds: {sorted(missing)}"


def test_a_seed_leads_to_the_same_trace_twice() -> None:
    for seed in range(10):
        assert run(draw(seed)).history.digest() == run(draw(seed)).history.digest()
