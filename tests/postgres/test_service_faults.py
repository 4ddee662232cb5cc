"""A service of several processes whose database fails: 503 meanwhile, and nothing is lost.

All tests put faults before the same processes, one after another: none may be the worse for it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.conformance.stage import must_add_up
from tests.postgres.machine import Load, Machine, beside, ended, eventually
from tests.postgres.server import Server
from unlost.ledger.protocol import Ledger
from unlost.ledger.walking import pages
from unlost.task import State

BACK_WITHIN = 5.0
"""Seconds after which the service must be back, once the database is."""

END_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'app'
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that tests may end, with a database of the user `app`, who is nobody special."""
    with Server() as server:
        with server.connect() as db:
            db.execute(f"CREATE ROLE app LOGIN PASSWORD '{server.password}'")
            db.execute("CREATE DATABASE app OWNER app")
        yield server


def place(server: Server) -> str:
    return server.url("app").replace("//unlost:", "//app:")


@pytest.fixture(scope="module")
def api(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The API's machine; two others work."""
    folder: Path = tmp_path_factory.mktemp("machines")
    with (
        Machine(folder / "api", "api", place(server)) as api,
        Machine(folder / "one", "worker", place(server)) as one,
        Machine(folder / "two", "worker", place(server)) as two,
    ):
        machines = (api, one, two)
        for machine in machines:
            machine.await_ready()
        before = [machine.child().pid for machine in machines]
        yield api
        replaced = [machine.events("process.ended") for machine in machines]
        assert not any(replaced), replaced
        assert [machine.child().pid for machine in machines] == before, "a process was replaced"


@pytest.fixture
async def client(api: Machine) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
        yield client


@pytest.fixture
async def ledger(server: Server, api: Machine) -> AsyncIterator[Ledger]:
    """The ledger, seen from beside the service with connections that the faults do not mind."""
    async with beside(server.url("app")) as ledger:
        yield ledger


async def is_ready(client: httpx.AsyncClient) -> bool:
    answer = await client.get("/readyz")
    assert answer.status_code in (200, 503)
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) >= 1
    return answer.status_code == 200


async def is_unready(client: httpx.AsyncClient) -> bool:
    return not await is_ready(client)


async def must_be_back(client: httpx.AsyncClient, load: Load, name: str) -> None:
    """Submits are taken and `/readyz` says so, soon enough; both are tried from now on."""
    async with asyncio.timeout(BACK_WITHIN):
        await asyncio.gather(
            eventually(lambda: load.submit(name)), eventually(lambda: is_ready(client))
        )
    load.accepted.append(name)


async def must_have_kept(ledger: Ledger, load: Load) -> None:
    """What was accepted has ended well, once, and nothing else is there."""
    assert set(load.answers) <= {200, 202, 503}
    for task_id in load.accepted:
        assert (await ended(ledger, task_id)).state is State.SUCCEEDED
    ours = [
        entry.record.task_id
        async for page in pages(ledger.entries, attrgetter("position"))
        for entry in page
        if entry.record.task_id.startswith(load.name)
    ]
    assert sorted(ours) == sorted(load.accepted)
    await must_add_up(ledger)


async def test_a_server_killed_under_load_costs_503_and_loses_nothing(
    server: Server, client: httpx.AsyncClient, ledger: Ledger
) -> None:
    load = Load(client, "killed")
    async with load.running():
        for number in range(2):
            await load.until(100)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            refused = load.answers[503]
            await eventually(lambda: is_unready(client))
            await eventually(lambda: load.answers[503] >= refused + 6)  # noqa: B023
            await asyncio.to_thread(server.start)
            await must_be_back(client, load, f"killed-back-{number}")
    assert len(load.retried & set(load.accepted)) >= 6
    await must_have_kept(ledger, load)


async def test_a_storm_of_ended_connections_under_load_loses_nothing(
    server: Server, client: httpx.AsyncClient, ledger: Ledger
) -> None:
    load = Load(client, "storm")
    killed = 0
    async with load.running():
        await load.until(20)
        with server.connect() as db:
            for _ in range(40):
                killed += one(db, END_ALL)
                await asyncio.sleep(0.025)
        await must_be_back(client, load, "storm-back")
    assert killed >= 40
    await must_have_kept(ledger, load)


def one(db: psycopg.Connection[tuple[Any, ...]], sql: str) -> int:
    row = db.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_primary_that_turns_read_only_costs_503_and_is_still_read(
    server: Server, client: httpx.AsyncClient, ledger: Ledger
) -> None:
    load = Load(client, "reading")
    with server.connect() as db:
        db.execute("SET default_transaction_read_only = off")
        async with load.running():
            await load.until(50)
            known = load.accepted[0]
            db.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            db.execute("SELECT pg_reload_conf()")
            await eventually(lambda: is_unready(client))
            refused = load.answers[503]
            await eventually(lambda: load.answers[503] >= refused + 12)
            assert (await client.get(f"/tasks/{known}")).status_code == 200
            db.execute("ALTER SYSTEM RESET default_transaction_read_only")
            db.execute("SELECT pg_reload_conf()")
            await must_be_back(client, load, "reading-back")
    assert load.retried
    await must_have_kept(ledger, load)


async def test_a_user_who_gets_no_connection_costs_503_and_loses_nothing(
    server: Server, client: httpx.AsyncClient, ledger: Ledger
) -> None:
    load = Load(client, "limit")
    with server.connect() as db:
        async with load.running():
            await load.until(50)
            db.execute("ALTER ROLE app CONNECTION LIMIT 0")
            db.execute(END_ALL)
            await eventually(lambda: is_unready(client))
            refused = load.answers[503]
            await eventually(lambda: load.answers[503] >= refused + 6)
            with pytest.raises(psycopg.OperationalError, match="too many connections"):
                psycopg.connect(place(server))
            db.execute("ALTER ROLE app CONNECTION LIMIT -1")
            await must_be_back(client, load, "limit-back")
    assert load.retried
    await must_have_kept(ledger, load)
