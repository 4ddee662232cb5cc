"""Options and fixtures of the tests that break the machine under the ledger.

`pytest tests/faults/test_power_cut.py --cuts 100000` cuts that often; `--fault-seed 7` repeats
one run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import cutting, failing
from tests.faults.machine import Machine

SHARES = 10
"""Tests that the runs are divided among, so that they can be spread over processes."""

CUTS = 2_000
SPELLS = 500


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cuts", type=int, default=CUTS, help="power cuts in all")
    parser.addoption("--spells", type=int, default=SPELLS, help="spells of disk faults in all")
    parser.addoption("--fault-seed", type=int, help="repeat the run of this seed alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Divide the seeds."""
    option = metafunc.config.getoption  # known only where this folder was named to pytest
    for name, runs in (
        ("cut_seeds", option("--cuts", CUTS) // cutting.CUTS),
        ("spell_seeds", option("--spells", SPELLS) // failing.SPELLS),
    ):
        if name in metafunc.fixturenames:
            seed = option("--fault-seed", None)
            shares = [range(share, runs, SHARES) for share in range(SHARES)]
            metafunc.parametrize(name, shares if seed is None else [[seed]], ids=str)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with an empty disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with Machine(folder) as machine:
        yield machine
