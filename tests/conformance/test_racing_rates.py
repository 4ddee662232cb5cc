"""Rates while workers race, each with a ledger of its own on the same store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.stage import LEASE, Clock, Stage, must_add_up
from tests.conftest import staged
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claim, Claimed, Worker
from unlost.limits.control import Change
from unlost.policy import Limits
from unlost.task import SECOND, Micros

LIMITS = Limits(50, 60.0)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def stage(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[Stage]:
    async with staged(request, tmp_path, clock) as stage:
        yield stage


async def claim_until(
    ledger: Ledger, worker: str, until: Micros, draw: random.Random, clock: Clock
) -> list[Claimed]:
    """Claim for a few slots again and again, as often as due_in says that some may start."""
    await ledger.enlist(Worker(worker), 60 * LEASE)
    found: list[Claimed] = []
    while clock.now < until:
        tokens = [f"{worker}-{len(found)}-{number}" for number in range(draw.randint(1, 6))]
        found += await ledger.claim(Claim(worker, tokens, None, LIMITS))
        asked = clock.now
        due = await ledger.due_in(None)
        # All sleep at once: who is slow to ask does not make the clock go on for the others.
        wake = asked + min(SECOND, SECOND if due is None else due) + draw.randrange(SECOND // 500)
        clock.now = max(clock.now, wake)
        await asyncio.sleep(0)
    return found


def in_any(seconds: int, starts: list[Micros]) -> tuple[int, int]:
    """The fewest and the most that started within so many seconds, wherever they begin."""
    counts = []
    for first, begin in enumerate(starts):
        end = begin + seconds * SECOND
        if end <= starts[-1]:
            counts.append(sum(begin <= at < end for at in starts[first:]))
    return min(counts), max(counts)


async def test_rates_are_exact_while_machines_race(stage: Stage) -> None:
    ledgers = [stage.ledger, await stage.another(), await stage.another()]
    draw = random.Random(7)
    await stage.ledger.change("mail", Change(rate=20.0, key_rate=8.0))
    for key in ("ann", "bob", "zoe"):
        await stage.submit(*(f"{key}-{n:03}" for n in range(400)), type="mail", key=key)
    begun = stage.clock.now
    found = await asyncio.gather(
        *(
            claim_until(
                ledger, f"w{home}-{number}", begun + 25 * SECOND, random.Random(draw.random()),
                stage.clock,
            )
            for home, ledger in enumerate(ledgers)
            for number in range(2)
        )
    )  # fmt: skip
    claimed = sorted((one for some in found for one in some), key=lambda one: one.started_at)
    assert len({one.task_id for one in claimed}) == len(claimed)
    fewest, most = in_any(10, [one.started_at for one in claimed])
    assert fewest >= 200 * 0.95
    assert most <= 200 + 20
    for key in ("ann", "bob", "zoe"):
        starts = [one.started_at for one in claimed if one.task_id.startswith(key)]
        assert in_any(10, starts)[1] <= 80 + 8
    await must_add_up(stage.ledger)
