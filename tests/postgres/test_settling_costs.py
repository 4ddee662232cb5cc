"""What a settlement looks at grows with its batch, whatever the planner believes of the tables."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Literal

from tests.postgres.server import Server
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres.attempts.settling import AGAIN, CLOSE
from unlost.ledger.postgres.connection.transaction import SETTINGS

BATCH = 3_000
TASKS = 10_000

MODES = ("force_custom_plan", "force_generic_plan")

FILL = """
WITH new AS (
  INSERT INTO unlost.task (submitted_at, updated_at, priority, id, type, digest)
  SELECT n, n, 0, 't' || n, 'default', '' FROM generate_series(1, %(tasks)s) AS n
  RETURNING seq
)
INSERT INTO unlost.open_task (seq, due_at, updated_at, rank, state, type, worker, token)
SELECT seq, 1, 1, 0, 'running', 'default', 'w', 'token' || seq FROM new
"""

ITEMS = """
SELECT json_agg(json_build_object(
  'seq', seq, 'id', id, 'state', %(state)s::text, 'updated_at', 1, 'due_at', 1, 'alone', false,
  'spent', 1, 'attempt_count', 1, 'error_number', null))::text
FROM (SELECT seq, id FROM unlost.task ORDER BY seq LIMIT %(batch)s) AS task
"""

BELIEVED = {  # what was done before they were filled, and after it
    "nothing": ("SELECT 1", "SELECT 1"),
    "that they are empty": ("VACUUM ANALYZE unlost.task, unlost.open_task", "SELECT 1"),
    "all of tasks": ("SELECT 1", "ANALYZE unlost.task"),
    "all of what is open": ("SELECT 1", "ANALYZE unlost.open_task"),
    "all of both": ("SELECT 1", "ANALYZE unlost.task, unlost.open_task"),
    "their size": ("SELECT 1", "VACUUM unlost.task, unlost.open_task"),
}

FORGET = """
TRUNCATE unlost.task, unlost.open_task;
DELETE FROM pg_statistic WHERE starelid IN ('unlost.task'::regclass, 'unlost.open_task'::regclass)
"""


def looked_at(plan: dict[str, Any]) -> Counter[str]:
    """The rows that a plan's nodes read, by table; those that joins threw away under `joins`."""
    removed = sum(plan.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Index Recheck"))
    loops = plan["Actual Loops"]
    found = Counter({"joins": plan.get("Rows Removed by Join Filter", 0) * loops})
    if "Relation Name" in plan and plan["Node Type"] != "ModifyTable":
        found[plan["Relation Name"]] += round((plan["Actual Rows"] + removed) * loops)
    for part in plan.get("Plans", ()):
        found += looked_at(part)
    return found


@pytest.fixture(scope="module")
def tables(postgres: Server) -> Iterator[psycopg.Connection[Any]]:
    """A ledger of its own, of which the server learns nothing by itself."""
    with postgres.connect() as db:
        db.execute("CREATE DATABASE settling")
    asyncio.run(_prepare(postgres.url("settling")))
    with postgres.connect("settling") as db:
        for table in ("task", "open_task"):
            db.execute(f"ALTER TABLE unlost.{table} SET (autovacuum_enabled = off)")
        yield db
    with postgres.connect() as db:
        db.execute("DROP DATABASE settling WITH (FORCE)")


async def _prepare(url: str) -> None:
    await (await open_ledger(url)).close()


@pytest.mark.parametrize("believed", BELIEVED)
def test_a_settlement_reads_each_of_its_tasks_a_few_times(
    tables: psycopg.Connection[Any], believed: str
) -> None:
    before, after = BELIEVED[believed]
    tables.execute(FORGET)
    tables.execute(before)
    tables.execute(FILL, {"tasks": TASKS})
    tables.execute(after)
    for sql, state in ((CLOSE, "succeeded"), (AGAIN, "retrying")):
        for plan in (_plan(tables, sql, state, mode) for mode in MODES):
            rows = looked_at(plan)
            assert rows["open_task"] >= BATCH
            assert max(rows.values()) <= 8 * BATCH + 100, json.dumps(plan)


def _plan(db: psycopg.Connection[Any], sql: str, state: str, mode: str) -> dict[str, Any]:
    """What a batch of settlements did; it is undone."""
    items = db.execute(ITEMS, {"state": state, "batch": BATCH}).fetchone()
    assert items is not None
    with db.transaction(force_rollback=True):
        db.execute(SETTINGS, {"now": 2})
        db.execute(f"SET LOCAL plan_cache_mode = {mode}")
        db.execute(f"PREPARE settlement (text) AS {sql.replace('%(items)s', '$1')}")
        explained = db.execute(
            SQL("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE settlement ({})").format(Literal(items[0]))
        ).fetchone()
        db.execute("DEALLOCATE settlement")
    assert explained is not None
    plan: dict[str, Any] = explained[0][0]["Plan"]
    return plan
