"""What a mutant is, and where mutants are registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import pytest

from tests.simulation.run import run
from tests.simulation.scenario import Draw, Reduced
from tests.simulation.stage import Parts
from unlost.ledger.memory import MemoryLedger
from unlost.supervisor.workers.workers import Workers
from unlost.upkeep.monitor import Monitor
from unlost.upkeep.sweeper import Sweeper
from unlost.worker.worker import Worker

K = TypeVar("K", bound=type)


@dataclass(frozen=True)
class Mutant:
    """A mistake, the promise that it breaks, and the seeds within which that must be seen: so many
    from `first` on."""

    name: str
    parts: Parts
    promise: str
    within: int
    first: int = 0


MUTANTS: list[Mutant] = []

_ROLES: dict[str, type] = {
    "ledger": MemoryLedger,
    "worker": Worker,
    "workers": Workers,
    "sweeper": Sweeper,
    "monitor": Monitor,
}


def mutant(promise: str, within: int = 100, first: int = 0) -> Callable[[K], K]:
    """Register a class as a broken part, named by the first line of its docstring."""

    def register(kind: K) -> K:
        role = next(role for role, base in _ROLES.items() if issubclass(kind, base))
        name = (kind.__doc__ or "").split("\n")[0].rstrip(".")
        MUTANTS.append(Mutant(name, Parts(**cast(Any, {role: kind})), promise, within, first))
        return kind

    return register


def catch(mutant: Mutant, draw: Draw) -> None:
    """Play seeds until one has it break its promise; fail where none does."""
    others: set[str] = set()
    for seed in range(mutant.first, mutant.first + mutant.within):
        broken = {one.promise for one in run(draw(seed, Reduced()), mutant.parts).broken}
        if mutant.promise in broken:
            return
        others |= broken
    pytest.fail(
        f"{mutant.name} did not break {mutant.promise!r} in {mutant.within} seeds"
        f" from {mutant.first} on (but {sorted(others)})",
        pytrace=False,
    )
