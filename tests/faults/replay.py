"""Runs by seed, and how to repeat one that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from tests.faults.machine import Machine

Run = Callable[[Machine, int], Coroutine[Any, Any, str]]


def run_all(run: Run, machine: Machine, seeds: Iterable[int], test: str) -> None:
    """Make the runs of these seeds.  Raises AssertionError that says how to repeat one."""
    with asyncio.Runner() as runner:
        for seed in seeds:
            try:
                runner.run(run(machine, seed))
            except Exception as fault:
                again = f"pytest {test} --fault-seed {seed}"
                raise AssertionError(f"{fault}\nTo see it again: {again}") from fault


def first_found(run: Run, machine: Machine, runs: int) -> int | None:
    """The first seed whose run fails, of so many."""
    with asyncio.Runner() as runner:
        for seed in range(runs):
            try:
                runner.run(run(machine, seed))
            except Exception:  # noqa: BLE001 - whatever a broken ledger does is a find
                return seed
    return None
