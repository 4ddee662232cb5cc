"""What a claim looks at stays the same, whatever else waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.conformance.stage import LEASE, Clock, ended, pages, submission
from tests.postgres.server import Server
from tests.postgres.statements.explaining import MODES, Explaining
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres.attempts.claiming import CLAIM_DUE
from unlost.ledger.postgres.attempts.marks import Marks
from unlost.ledger.postgres.attempts.settling import RUNNING
from unlost.ledger.postgres.attempts.workers import STILL_RUNNING
from unlost.ledger.postgres.connection.transaction import BEGIN_READING, SETTINGS, Transaction
from unlost.ledger.postgres.tasks import listing
from unlost.ledger.postgres.upkeep.vacuuming import AFTER
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claim, Query, Worker
from unlost.policy import Limits
from unlost.task import Event, Outcome, State

MANY = 100_000

FILL = """
WITH new AS (
  INSERT INTO unlost.task (submitted_at, updated_at, priority, id, type, digest)
  SELECT 1, 1, %(priority)s, %(name)s || n, %(type)s, '' FROM generate_series(1, %(many)s) AS n
  RETURNING seq
)
INSERT INTO unlost.open_task (seq, due_at, updated_at, rank, state, type)
SELECT seq, %(due_at)s, 1, -%(priority)s, 'queued', %(type)s FROM new
"""

VALUES: dict[str, Any] = {
    "wanted": '[{"id": "mine0", "token": "0"}]',
    "worker": "w", "alone": False, "most": 5, "tokens": [f"t{n}" for n in range(5)],
    "limits": "[]", "retries": 2, "timeout": 60.0, "left": "[]",
}  # fmt: skip

EVERY, SOME = (
    VALUES | {"known": Marks(lambda: 0.0).glance(types, alone=False)}
    for types in (None, ["default"])
)
"""A claim of every type, and of this one, where nothing is known."""


def buffers(
    db: psycopg.Connection[Any], now: int, values: dict[str, Any], sql: str = CLAIM_DUE
) -> tuple[int, str]:
    """How many pages a statement touches, and its plan; what it does is undone."""
    with db.transaction(force_rollback=True):
        db.execute(SETTINGS, {"now": now})
        explained = db.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", values)
        row = explained.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], json.dumps(plan)


@pytest.fixture
async def filled(postgres: Server, clock: Clock) -> AsyncIterator[psycopg.Connection[Any]]:
    """A database of its own, whose twenty tasks and one worker are a claim's; not to be reused,
    since what a hundred thousand rows were would stay in its pages."""
    with postgres.connect() as db:
        db.execute("CREATE DATABASE costs")
    ledger = await open_ledger(postgres.url("costs"), clock)
    await ledger.enlist(Worker("w"), LEASE)
    await ledger.submit([submission(f"mine{number}") for number in range(20)])
    await ledger.close()
    with postgres.connect("costs") as db:
        yield db
    with postgres.connect() as db:
        db.execute("DROP DATABASE costs WITH (FORCE)")


@pytest.mark.parametrize("what", ["not due", "of another type", "not due and of high priority"])
def test_a_claim_costs_the_same_whatever_else_waits(
    filled: psycopg.Connection[Any], clock: Clock, what: str
) -> None:
    claims = [SOME] if what == "of another type" else [SOME, EVERY]
    before = [buffers(filled, clock.now, one)[0] for one in claims]
    filled.execute(
        FILL,
        {
            "name": "other", "many": MANY,
            "type": "other" if what == "of another type" else "default",
            "priority": 50 if "high" in what else 0,
            "due_at": clock.now + (0 if what == "of another type" else 10**12),
        },
    )  # fmt: skip
    for prepare in ("SELECT 1", "ANALYZE unlost.task, unlost.open_task"):
        filled.execute(prepare)
        for one, few in zip(claims, before, strict=True):
            many, plan = buffers(filled, clock.now, one)
            assert "open_task_due" in plan
            assert "Seq Scan" not in plan
            assert many < few + 60


async def test_a_claim_costs_the_same_whatever_was_claimed_before(
    filled: psycopg.Connection[Any], postgres: Server, clock: Clock
) -> None:
    few, _ = buffers(filled, clock.now, EVERY)
    ledger = await open_ledger(postgres.url("costs"), clock)
    for start in range(0, AFTER + 1000, 1000):  # far quicker than the server's own vacuum comes
        await ledger.submit([submission(f"more{start + n}") for n in range(1000)])
        tokens = [f"{start + n}" for n in range(1000)]
        claimed = await ledger.claim(Claim("w", tokens, None, Limits(2, 60.0)))
        await ledger.settle([ended(one, Outcome.SUCCEEDED, Event.SUCCEED) for one in claimed])
    async with asyncio.timeout(20):
        while buffers(filled, clock.now, EVERY)[0] > few + 30 * 3:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await ledger.close()


async def test_a_settlement_costs_the_same_whatever_else_runs(
    filled: psycopg.Connection[Any], postgres: Server, clock: Clock
) -> None:
    ledger = await open_ledger(postgres.url("costs"), clock)
    await ledger.submit([submission(f"more{number}") for number in range(1000)])
    filled.execute("VACUUM ANALYZE unlost.task, unlost.open_task")  # while nothing runs
    tokens = [str(number) for number in range(1000)]
    assert len(await ledger.claim(Claim("w", tokens, None, Limits(2, 60.0)))) == 1000
    await ledger.close()
    for sql in (RUNNING, STILL_RUNNING):
        touched, plan = buffers(filled, clock.now, VALUES, sql)
        assert '"Actual Rows": 1' in plan
        assert "open_task_running" not in plan
        assert touched < 30


async def succeed(ledger: Ledger, ids: list[str]) -> None:
    """Submit these tasks, run and end them, all at once."""
    await ledger.submit([submission(one) for one in ids])
    claimed = await ledger.claim(Claim("w", ids, None, Limits(2, 60.0)))
    assert len(claimed) == len(ids)
    await ledger.settle([ended(one, Outcome.SUCCEEDED, Event.SUCCEED) for one in claimed])


async def test_a_list_of_what_succeeded_passes_over_what_waits_above_it(
    filled: psycopg.Connection[Any],
    postgres: Server,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one page over more than others look at; where even more waits, in more than one."""
    ledger = await open_ledger(postgres.url("costs"), clock)
    done = [f"done{number}" for number in range(30)]
    await succeed(ledger, done)
    values = {"name": "above", "type": "default", "priority": 0, "due_at": clock.now}
    filled.execute(FILL, values | {"many": 2 * listing.WALK})
    filled.execute("UPDATE unlost.task SET submitted_at = %s WHERE submitted_at = 1", [clock.now])
    query = Query(state=State.SUCCEEDED, limit=30)
    page = await ledger.page(query)
    monkeypatch.setattr(listing, "PASSED", listing.WALK)
    seen = [record.task_id async for one in pages(ledger, query) for record in one.records]
    assert sorted(seen) == sorted(record.task_id for record in page.records)
    assert (await ledger.page(query)).records == []
    await ledger.close()


async def test_a_list_of_what_waits_costs_the_same_however_much_does(
    filled: psycopg.Connection[Any], postgres: Server, clock: Clock
) -> None:
    """Where the newest tasks fill the page, the others are not looked at."""
    values = {"type": "default", "priority": 0, "due_at": clock.now}
    costs = []
    for many in (2_000, 18_000):
        filled.execute(FILL, values | {"name": f"{many}-", "many": many})
        filled.execute("UPDATE unlost.task SET submitted_at = 1 + seq")
        filled.execute("VACUUM ANALYZE unlost.task, unlost.open_task")
        filled.execute("UPDATE unlost.tally SET queued = queued + %s WHERE slot = 0", [many])
        db = await Explaining.connect(postgres.url("costs"), autocommit=True)
        costs.append(await touched(db, Query(state=State.QUEUED, type="default"), clock.now))
        await db.close()
    assert costs[1] < 1.3 * costs[0]
    assert costs[1] < 50 * 12


async def test_a_list_of_what_succeeded_leaps_over_what_waits_above_a_milestone(
    filled: psycopg.Connection[Any], postgres: Server, clock: Clock
) -> None:
    ledger = await open_ledger(postgres.url("costs"), clock)
    await succeed(ledger, [f"done{number}" for number in range(50)])
    await ledger.close()
    filled.execute(MILESTONE)
    values = {"type": "default", "priority": 0, "due_at": clock.now}
    costs = []
    for many in (2_000, 40_000):
        filled.execute(FILL, values | {"name": f"{many}-", "many": many})
        filled.execute("UPDATE unlost.task SET submitted_at = %s WHERE submitted_at = 1", [10**18])
        filled.execute("VACUUM ANALYZE unlost.task, unlost.attempt")
        db = await Explaining.connect(postgres.url("costs"), autocommit=True)
        costs.append(await touched(db, Query(state=State.SUCCEEDED), clock.now))
        await db.close()
    assert costs[1] < costs[0] + 20


MILESTONE = """
INSERT INTO unlost.milestone SELECT max(seq), max(submitted_at) FROM unlost.task
"""


async def touched(db: Explaining, query: Query, now: int) -> int:
    """How many pages a list's page touches."""
    db.modes = MODES[1:]
    transaction = Transaction(db, BEGIN_READING, now)
    await transaction.begin()
    page = await listing.page(transaction, query)
    await transaction.commit()
    await transaction.learn()
    assert len(page.records) == query.limit
    blocks = ("Shared Hit Blocks", "Shared Read Blocks")
    return sum(one.plan[name] for one in db.looked for name in blocks)


async def test_settlements_of_whole_pages_of_tasks_stay_on_them(
    filled: psycopg.Connection[Any], postgres: Server, clock: Clock
) -> None:
    """None that finds no room beside itself gets another entry in every index."""
    ledger = await open_ledger(postgres.url("costs"), clock)
    for batch in range(5):
        await succeed(ledger, [f"{batch}-{number:030}" for number in range(100)])
    await ledger.close()
    async with asyncio.timeout(20):
        while (found := filled.execute(UPDATED).fetchone()) == (0, 0):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert found == (500, 500)


UPDATED = """
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
WHERE schemaname = 'unlost' AND relname = 'task'
"""


CHECKED = """
SELECT relname, pg_get_constraintdef(con.oid)
FROM pg_constraint AS con JOIN pg_class ON pg_class.oid = conrelid
WHERE contype = 'c' AND conrelid IN ('unlost.task'::regclass, 'unlost.open_task'::regclass)
ORDER BY conname
"""

SEARCHED_FOR_DUPLICATES = """
SELECT relname FROM pg_class WHERE oid = ANY (%s::regclass[])
  AND NOT coalesce('deduplicate_items=off' = ANY (reloptions), false)
"""


async def test_a_submit_has_nothing_made_ready_or_looked_for_that_it_can_do_without(
    filled: psycopg.Connection[Any],
) -> None:
    assert filled.execute(CHECKED).fetchall() == [
        ("open_task", "CHECK (((state = 'running'::text) = (token IS NOT NULL)))"),
        ("open_task", "CHECK (((token IS NULL) = (worker IS NULL)))"),
    ]
    unique_anyway = ["unlost.open_task_due", "unlost.task_by_submission"]
    assert filled.execute(SEARCHED_FOR_DUPLICATES, [unique_anyway]).fetchall() == []
