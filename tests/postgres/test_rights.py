"""Roles that may not all that a service does: which right is missing, and how it is given.

What a message names is run as it stands, and then the service must work.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.conformance.stage import Clock, Stage, submission
from tests.postgres.roles import MINE, Tenant, use
from tests.postgres.server import Server
from unlost.api.app import create_app
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres.upkeep import purging
from unlost.ledger.protocol import Ledger, LedgerUnfit
from unlost.settings import Settings
from unlost.task import State

LACKS = {
    "the schema": "REVOKE USAGE ON SCHEMA unlost FROM app",
    "a table": "REVOKE ALL ON unlost.payload FROM app",
    "privileges": "REVOKE DELETE ON unlost.open_task, unlost.result FROM app",
    "the version": "REVOKE ALL ON unlost.ledger FROM app",
    "the sequence": "REVOKE ALL ON SEQUENCE unlost.task_seq_seq FROM app",
    "everything": "REVOKE ALL ON SCHEMA unlost FROM app;"
    " REVOKE ALL ON ALL TABLES IN SCHEMA unlost FROM app;"
    " REVOKE ALL ON ALL SEQUENCES IN SCHEMA unlost FROM app",
    "rows": "ALTER TABLE unlost.task ENABLE ROW LEVEL SECURITY",
}

TASK = {"taskId": "a", "payload": {}}


async def refusal(url: str) -> str:
    """Why a service cannot start: in one line, and not as something that passes."""
    with pytest.raises(LedgerUnfit) as refused:
        await open_ledger(url)
    said = str(refused.value)
    assert "\n" not in said
    assert Server.password not in said
    return said


OWNED = "CREATE SCHEMA unlost AUTHORIZATION app"
GRANTED = "CREATE SCHEMA unlost; GRANT USAGE, CREATE ON SCHEMA unlost TO app"


@pytest.mark.parametrize("made", [OWNED, GRANTED])
async def test_a_schema_that_somebody_made_is_used(postgres: Server, made: str) -> None:
    tenant = Tenant(postgres, "made_by_a_dba")
    tenant.do(made)
    await use(tenant.app)


@pytest.mark.parametrize("schema", ["", "CREATE SCHEMA unlost AUTHORIZATION owner"])
async def test_who_may_not_make_the_tables_is_told_the_grant(postgres: Server, schema: str) -> None:
    tenant = Tenant(postgres, "not_made")
    tenant.do(schema)
    statements = tenant.told(await refusal(tenant.app))
    assert statements
    tenant.do(*statements)
    await use(tenant.app)


async def test_who_may_not_migrate_the_tables_is_told_who_may(postgres: Server) -> None:
    tenant = Tenant(postgres, "not_migrated")
    await tenant.made()
    tenant.do(*MINE, "UPDATE unlost.ledger SET version = 1")
    assert "as their owner, owner" in await refusal(tenant.app)


@pytest.mark.parametrize("lack", LACKS)
async def test_a_service_does_not_start_without_a_right_and_names_the_grant(
    postgres: Server, lack: str
) -> None:
    tenant = Tenant(postgres, "lacking")
    await tenant.made()
    tenant.do(*MINE, LACKS[lack])
    said = await refusal(tenant.app)
    assert "as owner: " in said
    statements = tenant.told(said)
    if lack == "the sequence":
        assert statements == ["GRANT USAGE ON SEQUENCE unlost.task_seq_seq TO app"]
    tenant.do(*statements)
    await use(tenant.app)


async def test_the_least_privileges_are_enough_as_they_are_written(
    postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    tenant = Tenant(postgres, "least")
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    section = page.partition("\n## Least privileges\n")[2].partition("\n## ")[0]
    schema, *others = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    tenant.do(schema)
    await tenant.made()
    tenant.do_as_owner(*(sql for block in others for sql in block.split(";") if sql.strip()))
    with caplog.at_level(logging.INFO):
        await use(tenant.app)
    assert not caplog.records


async def test_what_runs_with_the_owners_rights_is_for_no_other_roles_triggers(
    postgres: Server,
) -> None:
    tenant = Tenant(postgres, "of_the_owner")
    await tenant.made()
    tenant.do("GRANT USAGE ON SCHEMA unlost TO app")
    mine = "SELECT bool_or(has_function_privilege(current_user, oid, 'EXECUTE')) FROM pg_proc"
    with psycopg.connect(tenant.app) as db:
        found = db.execute(f"{mine} WHERE pronamespace = 'unlost'::regnamespace AND prosecdef")
        assert found.fetchone() == (False,)


async def test_who_only_reads_needs_no_more_than_that(postgres: Server) -> None:
    tenant = Tenant(postgres, "only_read")
    await use(tenant.owner)
    tenant.do(*MINE, "REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA unlost FROM app")
    ledger = await open_ledger(tenant.app, must_exist=True)
    assert await ledger.get("dead") is not None
    assert (await ledger.counts()).lost == 0
    await ledger.close()


@pytest.mark.parametrize("lack", [one for one in LACKS if one not in ("privileges", "the version")])
async def test_a_right_that_is_taken_away_is_told_and_all_is_well_once_it_is_back(
    postgres: Server, clock: Clock, lack: str, caplog: pytest.LogCaptureFixture
) -> None:
    tenant = Tenant(postgres, "taken_away")
    await tenant.made()
    tenant.do(*MINE)
    ledger = await open_ledger(tenant.app, clock)
    transport = httpx.ASGITransport(create_app(ledger, Settings(), clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        assert (await api.get("/readyz")).status_code == 200
        tenant.do(LACKS[lack])
        with caplog.at_level(logging.WARNING):
            ready = await api.get("/readyz")
            answers = [await api.post("/tasks", json=TASK) for _ in range(3)]
        assert {one.status_code for one in (ready, *answers)} == {503}
        assert ready.json()["detail"] == "the ledger lacks a right in its database"
        assert "try again" not in answers[0].text
        assert "GRANT" not in answers[0].text, "that is for the log"
        statements = tenant.told(vars(caplog.records[-1])["why"])
        assert statements
        assert [vars(one)["count"] for one in caplog.records] == [1] * len(caplog.records)
        assert len(caplog.records) <= 2
        tenant.do(*statements)
        assert (await api.get("/readyz")).status_code == 200
        assert (await api.post("/tasks", json=TASK)).status_code == 202
    await ledger.close()


async def test_to_look_whether_it_is_ready_costs_no_number(postgres: Server, clock: Clock) -> None:
    tenant = Tenant(postgres, "looked_at")
    ledger = await open_ledger(tenant.owner, clock)
    for _ in range(5):
        await ledger.ping()
    await ledger.submit([submission("a")])
    (entry,) = await ledger.entries(0, 10)
    assert entry.position == 1
    await ledger.close()


async def test_it_is_not_ready_where_a_submit_would_wait(postgres: Server) -> None:
    tenant = Tenant(postgres, "locked")
    ledger = await open_ledger(tenant.owner)
    with postgres.connect(tenant.name) as db:
        db.execute("BEGIN; LOCK TABLE unlost.payload IN SHARE MODE")
        with pytest.raises(Exception, match="too long"):
            await ledger.ping()
        db.execute("ROLLBACK")
    await ledger.ping()
    await ledger.close()


async def test_who_does_not_own_the_tables_purges_without_an_index_of_its_own(
    postgres: Server,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(purging, "NEXT", purging.NEXT.replace(str(purging.AT_ONCE), "3"))
    monkeypatch.setattr(purging, "AT_ONCE", 3)
    monkeypatch.setattr(purging, "REST", 0)
    tenant = Tenant(postgres, "purged")
    await tenant.made()
    tenant.do(*MINE)
    ledger = await open_ledger(tenant.app, clock)

    async def another() -> Ledger:
        raise AssertionError("nothing is reopened here")

    stage = Stage(ledger, clock, another)
    for number in range(4):
        for state in State:
            await stage.into(state, f"{state}-{number}")
            clock.advance(1)
    old = clock.advance(60)
    await stage.into(State.SUCCEEDED, "new")
    with caplog.at_level(logging.WARNING):
        found: list[int] = []
        while not found or found[-1] == 3:
            found.append(await ledger.purge(old, 3))
    assert sum(found) == 8
    purged = {one.record.task_id for one in await ledger.entries(0, 100) if one.record.purged_at}
    assert purged == {f"{name}-{n}" for name in ("succeeded", "cancelled") for n in range(4)}
    await stage.ledger.cancel("queued-0", None, None)
    assert await ledger.purge(clock.advance(60), 3) == 2, "a later round finds what is old by now"
    (told,) = [vars(one) for one in caplog.records]
    assert told["msg"] == "ledger.no_purge_index"
    assert "as owner: CREATE INDEX CONCURRENTLY" in told["cure"]
    tenant.do(told["cure"].removeprefix("as owner: "))
    await stage.into(State.SUCCEEDED, "newer")
    assert await ledger.purge(clock.advance(60), 3) == 1
    await ledger.close()
