"""How many seeds are played: `--seeds N`, or SIMULATION_SEEDS in the environment."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

SEEDS = 3_000
CHUNK = 250
"""Seeds in one test, so that several cores can share them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seeds",
        type=int,
        help=f"seeds that the simulation plays ({SEEDS})",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        # The option is there only where this folder was named on the command line.
        asked = metafunc.config.getoption("seeds", default=None)
        count = asked or int(os.environ.get("SIMULATION_SEEDS", SEEDS))
        chunks = [range(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
        metafunc.parametrize("seeds", chunks, ids=[f"{one[0]}-{one[-1]}" for one in chunks])


@pytest.fixture(scope="session", autouse=True)
def _what_is_there_stays() -> Iterator[None]:
    """Let the garbage collector look only at what the runs leave."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
