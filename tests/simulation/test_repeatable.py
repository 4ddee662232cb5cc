"""One seed is one run, to the last detail, in every process."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.simulation.mutants import MUTANTS
from tests.simulation.report import report
from tests.simulation.run import run
from tests.simulation.scenario import Reduced, draw

SEEDS = range(100, 130)


def test_a_seed_leads_to_the_same_trace_twice() -> None:
    for seed in SEEDS:
        assert run(draw(seed)).history.digest() == run(draw(seed)).history.digest()


def test_other_seeds_lead_to_other_traces() -> None:
    assert len({run(draw(seed)).history.digest() for seed in SEEDS}) == len(SEEDS)


def test_the_order_of_steps_is_the_seeds_alone() -> None:
    digests = {run(draw(7, Reduced(shuffle=n))).history.digest() for n in range(5)}
    assert len(digests) == 5


def test_a_seed_leads_to_the_same_trace_whatever_the_hash_seed() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.simulation",
        "--hashes",
        "--seed",
        "100",
        "--count",
        "60",
    ]
    first, second = (
        subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "4242")
    )
    assert first == second
    assert first.count(b"\n") == 60


def test_a_failure_is_reported_small_and_with_the_command_that_replays_it() -> None:
    mutant = next(one for one in MUTANTS if one.name.startswith("recorded before"))
    played = (run(draw(seed), mutant.parts) for seed in range(mutant.within))
    failed = next(one for one in played if one.broken)
    text = report(failed, mutant.parts)
    assert f"python -m tests.simulation --seed {failed.scenario.seed}" in text
    assert mutant.promise in text
    assert len(text.splitlines()) < len(failed.history.events)
