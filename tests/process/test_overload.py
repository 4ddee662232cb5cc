"""A flood costs the flooder: the API stays small, answers others and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from bench.attacks import ATTACKS, Probe, Target, attack
from tests.process.service import Service, children, service

MOST_MIB = 300

ALIVE_WITHIN = 1.0
"""Seconds for `/livez`, on a machine that does nothing else; where other tests run beside this one,
they may take the processors for a while."""

ALIVE_BESIDE_OTHERS = 4.0

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak"
)


def target_of(running: Service) -> Target:
    (pid,) = (pid for pid, line in children(running.process.pid) if line.endswith(" api"))
    return Target(int(running.ready.rsplit(":", 1)[1]), pid)


async def attacked(
    folder: Path, name: str, count: int, seconds: float, alive_within: float
) -> None:
    """Attack a service; a normal client beside it must be well."""
    async with service(folder, "api", max_connections=200 if count < 1_000 else 2_000) as running:
        target = target_of(running)
        probe = Probe(target)
        probing = asyncio.create_task(probe.run())
        await attack(target, name, count, seconds)
        probing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await probing
        assert probe.longest < alive_within
        assert target.peak() <= MOST_MIB
        assert len(probe.submitted) >= seconds
        for task_id in probe.submitted:
            assert await running.ledger.get(task_id, ()) is not None
        assert await running.stop() == 0
        assert running.events("api.failed") == []


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_flood_is_borne(tmp_path: Path, name: str) -> None:
    await attacked(tmp_path, name, 400, 1, ALIVE_BESIDE_OTHERS)


@pytest.mark.soak
@pytest.mark.parametrize("name", ATTACKS)
async def test_a_great_flood_is_borne(tmp_path: Path, name: str) -> None:
    await attacked(tmp_path, name, 5_000, 25, ALIVE_WITHIN)
