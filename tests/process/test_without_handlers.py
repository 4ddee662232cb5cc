"""`--handler none`: no handler runs here, and all else that a service does goes on."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.process.service import Service, service, until
from unlost.ledger.values import Claim, Worker
from unlost.limits.control import Claimant
from unlost.policy import Limits
from unlost.task import SECOND, State

ELSEWHERE = Worker("elsewhere", ("mail",), pull=True)
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


async def lose(running: Service, task_id: str) -> None:
    """Let an attempt of this task be lost by a worker elsewhere."""
    await running.submit(task_id, type="mail", max_retries=0)
    await running.ledger.enlist(ELSEWHERE, SECOND // 10)
    claim = Claim(
        "elsewhere", ["t"], {"mail": Limits()}, Limits(0, 60.0), claimant=Claimant.PULL
    )  # fmt: skip
    assert [one.task_id for one in await running.ledger.claim(claim)] == [task_id]


async def test_a_worker_without_handlers_sees_to_the_attempts_of_others(tmp_path: Path) -> None:
    async with service(tmp_path, "worker", handler="none") as running:
        assert running.workers() == []
        await running.submit("waits", type="sms")
        await lose(running, "lost")
        assert (await running.ended("lost")).state is State.DEAD
        await until(lambda: ids(running, "task.dead_lettered") == ["lost"])
        await until(lambda: [one["type"] for one in running.events("task.unhandled")] == ["sms"])
        assert await running.stop() == 0


async def test_a_service_without_handlers_keeps_schedules_and_starts_no_worker(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, "serve", handler="none") as running:
        url = running.ready.split()[-1]
        body = {"every": 1, "type": "sms", "payload": {}}
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.put("/schedules/often", json=body)).status_code == 201
            await until(lambda: "sms" in [one["type"] for one in running.events("task.unhandled")])
            assert (await http.get("/workers")).json() == {"workers": []}
        assert running.workers() == []
        assert await running.stop() == 0


async def test_webhooks_are_delivered_without_handlers(tmp_path: Path) -> None:
    async with service(tmp_path, "worker", handler="none", webhook_secret=SECRET) as running:
        (worker,) = await running.ledger.workers()
        assert worker.worker.types == ("unlost.webhook",)
        await running.submit("waits", type="sms")
        await until(lambda: [one["type"] for one in running.events("task.unhandled")] == ["sms"])
        assert await running.stop() == 0


def ids(running: Service, event: str) -> list[str]:
    return [one["taskId"] for one in running.events(event)]
