"""Broken variants of the real parts, each of which the simulation must catch.

A mutant is the part as shipped but for one mistake of the kind that people make.
"""

from __future__ import annotations

from tests.simulation import (
    actor_mutants,
    declaring_mutants,
    excuse_mutants,
    follow_up_mutants,
    ledger_mutants,
    rate_mutants,
    step_mutants,
    why_mutants,
)
from tests.simulation.mutant import MUTANTS, Mutant

__all__ = [
    "MUTANTS",
    "Mutant",
    "actor_mutants",
    "declaring_mutants",
    "excuse_mutants",
    "follow_up_mutants",
    "ledger_mutants",
    "rate_mutants",
    "step_mutants",
    "why_mutants",
]
