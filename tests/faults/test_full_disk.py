"""The disk is full: submits are refused with a time to come again, what ran is settled once there
is room, and nothing has to be restarted."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.conformance.stage import LEASE, Clock, must_add_up, submission
from tests.faults.machine import Call, Fault, Machine, all_is_well
from unlost.api.app import create_app
from unlost.handlers import Handlers, Task
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.values import Claim, Transition
from unlost.ledger.values import Worker as Member
from unlost.policy import Limits
from unlost.settings import Settings
from unlost.task import SECOND, State
from unlost.upkeep.sweeper import Sweeper
from unlost.worker.worker import Worker


def full(call: Call, _name: str) -> Fault | None:
    """The plan that there is no room."""
    return Fault.FULL if call is Call.WRITE else None


@pytest.fixture
async def ledger(machine: Machine) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(machine.folder / "ledger.db", wall_clock)
    yield ledger
    machine.plan = all_is_well
    await must_add_up(ledger)
    await ledger.close()


@pytest.fixture
async def api(ledger: SqliteLedger) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(ledger, Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def task(task_id: str) -> dict[str, Any]:
    return {"taskId": task_id, "payload": {"text": "x" * 10_000}}


async def test_a_submit_is_refused_with_a_time_to_come_again_and_then_taken(
    machine: Machine, ledger: SqliteLedger, api: httpx.AsyncClient
) -> None:
    assert (await api.get("/readyz")).status_code == 200
    machine.plan = full
    refused = await api.post("/tasks", json=task("a"))
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await api.get("/readyz")).status_code == 503
    machine.plan = all_is_well
    assert (await api.post("/tasks", json=task("a"))).status_code == 202
    assert (await api.get("/readyz")).status_code == 200


async def test_each_item_of_a_batch_is_refused_and_none_is_stored(
    machine: Machine, ledger: SqliteLedger, api: httpx.AsyncClient
) -> None:
    machine.plan = full
    batch = {"tasks": [task(f"t{number}") for number in range(20)]}
    answer = (await api.post("/tasks/batch", json=batch)).json()
    assert {item["status"] for item in answer["results"]} == {503}
    assert (await ledger.counts()).accepted == 0
    machine.plan = all_is_well
    assert (await api.post("/tasks/batch", json=batch)).json()["accepted"] == 20


async def test_what_is_there_can_be_read_meanwhile(
    machine: Machine, ledger: SqliteLedger, api: httpx.AsyncClient
) -> None:
    await api.post("/tasks", json=task("a"))
    machine.plan = full
    assert (await api.get("/tasks/a")).json()["payload"] == task("a")["payload"]
    assert (await api.get("/stats")).json()["accepted"] == 1
    assert (await api.post("/tasks/a/cancel")).status_code == 503


async def test_what_ran_is_settled_once_there_is_room_and_not_run_again(
    machine: Machine, ledger: SqliteLedger
) -> None:
    """The disk fills up while the first handler runs, and has room again once it has refused."""
    ran: list[str] = []
    handlers, refused, loop = Handlers(), asyncio.Event(), asyncio.get_running_loop()

    def full_and_noted(call: Call, name: str) -> Fault | None:
        if call is Call.WRITE:
            loop.call_soon_threadsafe(refused.set)
        return full(call, name)

    @handlers.task("default")
    async def work(task: Task) -> str:
        if not ran:
            machine.plan = full_and_noted
        ran.append(task.id)
        return "r" * 3_000

    names = [f"t{number}" for number in range(30)]
    await ledger.submit([submission(name) for name in names])
    async with ledger.transitions() as told, _working(ledger, handlers):
        await asyncio.wait_for(refused.wait(), 10)
        machine.plan = all_is_well
        await asyncio.wait_for(_succeeded(told, len(names)), 10)
    assert sorted(ran) == sorted(names)


async def test_a_lease_that_ends_while_the_disk_is_full_costs_no_attempt(machine: Machine) -> None:
    clock = Clock()
    ledger = SqliteLedger(machine.folder / "ledger.db", clock)
    await ledger.submit([submission("a")])
    await ledger.enlist(Member("worker"), LEASE)
    await ledger.claim(Claim("worker", ["token"], None, Limits(2, 3600.0)))
    sweeper = Sweeper(
        ledger, Settings(), clock=clock, monotonic=lambda: clock.now / SECOND, random=Random(0)
    )
    clock.advance(5)
    await sweeper.sweep()
    machine.plan = full
    for _ in range(2 * LEASE // SECOND):
        clock.advance(1)
        with suppress(LedgerUnavailable):  # a pass that has nothing to write yet
            await sweeper.sweep()
    machine.plan = all_is_well
    await sweeper.sweep()
    assert await ledger.extend(["worker"], LEASE) == {"worker"}
    assert [one.token for one in await ledger.held("worker")] == ["token"]
    await ledger.close()


async def _succeeded(told: AsyncIterator[list[Transition]], count: int) -> None:
    """Return once so many tasks have."""
    async for transitions in told:
        count -= sum(one.state is State.SUCCEEDED for one in transitions)
        if not count:
            return


@asynccontextmanager
async def _working(ledger: SqliteLedger, handlers: Handlers) -> AsyncIterator[None]:
    settings = Settings(concurrency=100)
    worker = Worker(ledger, handlers, settings, worker_id="worker", random=Random(0))
    await ledger.enlist(Member("worker"), LEASE)
    running = asyncio.create_task(worker.run())
    yield
    worker.drain()
    await running


# A real refusal by the system: a process may not write files beyond a size.
LIMITED = """
import asyncio, json, resource, sys
import httpx
from unlost.api.app import create_app
from unlost.ledger.opening import open_ledger
from unlost.settings import Settings

async def main(path):
    ledger = await open_ledger(f"sqlite:///{path}")
    app = create_app(ledger, Settings())
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, most))
    taken = []
    for number in range(1_000):
        body = {"taskId": f"t{number}", "payload": {"text": "x" * 10_000}}
        answer = await client.post("/tasks", json=body)
        if answer.status_code != 202:
            break
        taken.append(body["taskId"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    after = await client.post("/tasks", json=body)
    print(json.dumps([taken, answer.status_code, answer.headers.get("retry-after"),
                      after.status_code]))

asyncio.run(main(sys.argv[1]))
"""


async def test_the_same_where_the_system_itself_refuses_to_write(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIMITED, str(path), stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    taken, status, retry_after, after = json.loads(output)
    assert (status, after) == (503, 202)
    assert int(retry_after) >= 1
    assert len(taken) > 10
    ledger = SqliteLedger(path, wall_clock)
    assert (await ledger.counts()).accepted == len(taken) + 1
    for task_id in taken:
        assert await ledger.get(task_id) is not None
    await must_add_up(ledger)
    await ledger.close()
