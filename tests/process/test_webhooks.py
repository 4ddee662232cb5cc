"""Webhooks of a real service: told over HTTP though its workers are killed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest

from tests.process.service import Service, service
from tests.webhooks.receiver import SECRET, receiving
from unlost.audit import audit
from unlost.ledger.values import Query
from unlost.task import WEBHOOK_TYPE, Record, State

SLOW = {"simulate": {"outcome": "succeed", "seconds": 0.2}}
CRASH = {"simulate": {"outcome": "crash"}}
COUNT = 6


async def submit(running: Service, task_id: str, payload: object, **options: object) -> None:
    task = {"taskId": task_id, "payload": payload, **options}
    async with httpx.AsyncClient(base_url=running.ready.split()[-1]) as api:
        assert (await api.post("/tasks", json=task)).status_code == 202


async def deliveries(running: Service) -> list[Record]:
    """All deliveries, each once it has come to its end."""
    page = await running.ledger.page(Query(type=WEBHOOK_TYPE, limit=1000))
    return [await running.ended(one.task_id) for one in page.records]


async def test_each_end_is_told_by_exactly_one_task_though_a_worker_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLOST_WEBHOOK_SECRET", SECRET)
    settings = {"webhook_allow_private": True, "failure_rate": 0, "backoff_base": 0.05}
    # What is not answered is under way when the worker is killed.
    async with (
        receiving("204 No Content", "204 No Content", "", "204 No Content") as receiver,
        service(tmp_path, "serve", **settings, concurrency=2) as running,
    ):
        names = [f"t{number}" for number in range(COUNT)]
        for name in names:
            await submit(running, name, SLOW, maxRetries=9, callbackUrl=receiver.url)
        await receiver.got(3)
        [worker] = running.workers()
        os.kill(worker, signal.SIGKILL)
        await submit(running, "crash", CRASH, maxRetries=0, callbackUrl=receiver.url)
        ends = [await running.ended(one) for one in (*names, "crash")]
        told = await deliveries(running)
        found = await audit(running.ledger)
        shown = [" ".join(psutil.Process(pid).cmdline()) for pid in running.everyone()]
        assert await running.stop() == 0
    assert Counter(one.state for one in ends) == {State.SUCCEEDED: COUNT, State.DEAD: 1}
    assert {one.state for one in told} == {State.SUCCEEDED}
    assert len(told) == COUNT + 1
    assert (found.ok, found.violations) == (True, [])
    messages = {request.headers["webhook-id"]: request.verified() for request in receiver.requests}
    assert messages.keys() == {one.task_id for one in told}
    assert Counter((one["data"]["taskId"], one["type"]) for one in messages.values()) == Counter(
        [*((name, "task.succeeded") for name in names), ("crash", "task.dead_lettered")]
    )
    log = running.stdout()
    assert "attempt.lost" in log
    assert SECRET[6:-2] not in log + " ".join(shown)


async def test_a_worker_alone_serves_deliveries_beside_named_handlers(tmp_path: Path) -> None:
    async with receiving() as receiver:
        settings = {"webhook_url": receiver.url, "webhook_secret": SECRET}
        async with service(
            tmp_path,
            handler="process_app:handlers",
            webhook_allow_private=True,
            webhook_events="succeeded",
            **settings,
        ) as running:
            await running.submit("exits", type="exits", max_retries=0)
            await running.ended("exits")
            await running.submit("works", type="works")
            (request,) = await receiver.got()
            await deliveries(running)
            assert await running.stop() == 0
    assert request.verified()["data"]["taskId"] == "works"
    assert len(receiver.requests) == 1
    assert SECRET[6:-2] not in running.stdout()
