"""`docs/evidence.md` names tests that are there, and numbers that are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.conftest import CUTS, SPELLS
from tests.simulation.conftest import SEEDS
from tests.simulation.marks import MARKS
from tests.simulation.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "evidence.md").read_text()
NAMED = sorted(set(re.findall(r"tests/[\w/]+(?:\.py)?", TEXT)))


@pytest.mark.parametrize("path", NAMED)
def test_what_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    ("row", "number"),
    [
        ("seeds, none of which", SEEDS),
        ("broken variants of the code", len(MUTANTS)),
        ("rare events that must", len(MARKS)),
        ("cuts |", CUTS),
        ("spells |", SPELLS),
    ],
)
def test_a_number_is_that_of_the_tests(row: str, number: int) -> None:
    (line,) = [line for line in TEXT.splitlines() if line.startswith(f"| {row}")]
    assert line.split("|")[2].split()[0] == f"{number:,}"
