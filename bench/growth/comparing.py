"""The steps of a grown ledger beside those of one that is all but new, in turns."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Final

import msgspec

from bench.growth.homes import Home
from bench.growth.steps import LISTS, WRITES, Client, Step

CALLS: Final = 5
"""Times that a list is read in one round, of which the fastest counts."""


class Beside(msgspec.Struct, frozen=True):
    """A step's median on the new ledger, in seconds, and how many times that the grown one's is;
    and of what it touches there how many times as much."""

    step: str
    seconds: float
    times: float
    touched: float


async def compare(
    homes: tuple[Home, Home], clients: tuple[Client, Client], rounds: int
) -> list[Beside]:
    """Each step on both ledgers (the new one first)."""
    steps: dict[str, Step] = WRITES | LISTS
    taken: dict[str, list[list[float]]] = {name: [[], []] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            for client, found in zip(clients, taken[name], strict=True):
                seconds = await _timed(step, client, 1 if name in WRITES else CALLS)
                if turn > 0:  # the first one warms up
                    found.append(seconds)
    touched = [
        await _touched(home, client, steps) for home, client in zip(homes, clients, strict=True)
    ]
    return [
        Beside(
            name,
            median(new),
            median(theirs / ours for ours, theirs in zip(new, grown, strict=True)),
            touched[1][name] / max(touched[0][name], 1),
        )
        for name, (new, grown) in taken.items()
    ]


async def _timed(step: Step, client: Client, calls: int) -> float:
    taken = []
    for _ in range(calls):
        began = time.perf_counter()
        await step(client)
        taken.append(time.perf_counter() - began)
    return min(taken)


async def _touched(home: Home, client: Client, steps: dict[str, Step]) -> dict[str, int]:
    meter = home.meter(client.ledger)
    return {name: await _metered(step(client), meter) for name, step in steps.items()}


async def _metered(step: Awaitable[object], meter: Callable[[], int]) -> int:
    before = meter()
    await step
    return meter() - before
