"""Every process of the tree is killed under load, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.process.service import Service, children, service
from tests.process.test_supervisor_death import free_port
from unlost.audit import audit
from unlost.task import Outcome, State

TASKS = 1_500
SETTINGS: dict[str, Any] = {
    "handler": "process_app:effects", "workers": 2, "concurrency": 20, "lease": 2,
    "backoff_base": 0.05, "backoff_cap": 0.2, "max_retries": 8,
}  # fmt: skip


async def submit_all(url: str) -> int:
    """Submit every task, trying again until it is acknowledged, as a client does."""
    ids: Iterator[int] = iter(range(TASKS))

    async def client() -> int:
        acknowledged = 0
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=5) as http:
            for number in ids:
                body = {"taskId": f"t{number}", "payload": {"n": number}}
                while True:
                    try:
                        answer = await http.post("/tasks", json=body)
                    except httpx.TransportError:
                        await asyncio.sleep(0.05)
                        continue
                    if answer.status_code in (200, 202):
                        acknowledged += 1
                        break
                    assert answer.status_code == 503, answer.text
                await asyncio.sleep(0.02)
        return acknowledged

    return sum(await asyncio.gather(*[client() for _ in range(8)]))


def kill(running: Service, role: str, chance: random.Random) -> None:
    """Kill a process of this role, if one is there."""
    pids = [pid for pid, command in children(running.process.pid) if command.endswith(role)]
    if pids:
        os.kill(chance.choice(pids), signal.SIGKILL)


async def test_kills_of_any_process_under_load_lose_nothing(tmp_path: Path) -> None:
    """Clients that try again, a third of attempts failing, and every kind of process killed."""
    port, chance = free_port(), random.Random(7)
    url = f"http://127.0.0.1:{port}"
    async with service(tmp_path, "serve", port=port, **SETTINGS) as first:
        submitting = asyncio.create_task(submit_all(url))
        for role in ("worker", "api", "worker", "worker", "api"):
            await asyncio.sleep(0.5)
            kill(first, role, chance)
        assert not submitting.done(), "the load was over before the kills"
        first.process.kill()
        await first.exit_status()
    async with service(tmp_path, "serve", port=port, **SETTINGS) as second:
        assert await submitting == TASKS
        records = [await second.ended(f"t{number}", within=60) for number in range(TASKS)]
        found = await audit(second.ledger)
        assert await second.stop() == 0
        second.log()
    assert list(found.violations) == []
    assert (found.ok, found.lost, found.accepted) == (True, 0, TASKS)
    effects = set((tmp_path / "effects").read_text().split())
    succeeded = {record.task_id for record in records if record.state is State.SUCCEEDED}
    assert succeeded <= effects, "a task succeeded without its effect"
    assert len(succeeded) > TASKS * 0.99, "with nine attempts hardly any should die"
    assert any(one.outcome is Outcome.LOST for record in records for one in record.attempts)
