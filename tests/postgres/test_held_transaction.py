"""A transaction of somebody else's that is held open: what a step touches stays the same.

Nothing that has died since can be vacuumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.conformance.stage import Stage, ended, submission
from tests.postgres.databases import Database
from unlost.ledger.looking import look
from unlost.ledger.postgres import PostgresLedger
from unlost.ledger.postgres.attempts.claiming import CLAIM_DUE, DUE
from unlost.ledger.postgres.attempts.marks import LONGEST, MOST, OFTEN, Learnt, Marks, Seen
from unlost.ledger.postgres.attempts.workers import LEFT_BEHIND
from unlost.ledger.postgres.connection.transaction import SETTINGS, Transaction
from unlost.ledger.postgres.records.counting import PING, WAITING
from unlost.ledger.postgres.upkeep import vacuuming
from unlost.ledger.postgres.upkeep.vacuuming import HELD_OPEN, LONG
from unlost.ledger.protocol import LedgerUnavailable
from unlost.limits.control import Change
from unlost.task import SECOND, Event, Outcome

BATCH = 200
ROUNDS = 15
APART = 0.5
"""Seconds between two batches."""

AT_MOST = 30
"""Pages that a statement touches."""

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def db(database: Database) -> Iterator[Connection]:
    with database.connect() as db:
        yield db


@pytest.fixture
def held(database: Database) -> Iterator[Connection]:
    with database.connect() as db:
        db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        db.execute("SELECT count(*) FROM pg_class")
        yield db


def pages(db: Connection, now: int, sql: str, values: dict[str, Any]) -> int:
    """What a statement touches; what it does is undone."""
    with db.transaction(force_rollback=True):
        db.execute(SETTINGS, {"now": now})
        row = db.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", values).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def work(stage: Stage, name: str, worker: str) -> None:
    """A batch comes, is claimed and done."""
    await stage.submit(*(f"{name}-{number}" for number in range(BATCH)))
    claimed = await stage.claim(BATCH, worker=worker)
    assert len(claimed) == BATCH
    ends = [ended(one, Outcome.SUCCEEDED, Event.SUCCEED) for one in claimed]
    assert all(await stage.ledger.settle(ends))
    stage.clock.advance(APART)


def marks(stage: Stage) -> Any:
    assert isinstance(stage.ledger, PostgresLedger)
    return stage.ledger._marks._marks[False]


async def test_what_a_step_touches_stays_the_same(
    alone: Stage, held: Connection, db: Connection
) -> None:
    ledger = alone.ledger
    assert isinstance(ledger, PostgresLedger)
    for turn in range(ROUNDS):
        await work(alone, f"t{turn}", "worker")
        await ledger.counts()
    (dead,) = db.execute("SELECT count(*) FROM unlost.open_task").fetchone() or (1,)
    assert dead == 0
    known = ledger._marks.glance(None, alone=False)
    values = {
        "known": known, "alone": False, "left": "[]", "worker": "worker", "most": BATCH,
        "tokens": [], "limits": "[]", "retries": 2, "timeout": 60.0,
    }  # fmt: skip
    sent = {"claim": CLAIM_DUE, "due": DUE, "waiting": WAITING, "left behind": LEFT_BEHIND}
    touched = {name: pages(db, alone.clock.now, sql, values) for name, sql in sent.items()}
    assert max(touched.values()) < AT_MOST, touched
    values["known"] = Marks(lambda: 0.0).glance(None, alone=False)
    assert pages(db, alone.clock.now, CLAIM_DUE, values) > 2 * AT_MOST


COUNT = """
DO $$ BEGIN FOR n IN 1..20000 LOOP
  PERFORM set_config('unlost.now', (n * 50000::bigint)::text, true);
  {ping};
END LOOP; END $$
"""


def test_a_counter_s_versions_are_spread_over_all_rows(
    alone: Stage, held: Connection, db: Connection
) -> None:
    before = pages(db, alone.clock.now, PING, {})
    db.execute(COUNT.format(ping=PING))
    assert pages(db, alone.clock.now, PING, {}) < before + 30


@pytest.mark.parametrize("own", [True, False])
async def test_a_task_that_is_due_long_before_the_mark_is_found(alone: Stage, own: bool) -> None:
    """By the process that has the mark, and that submits it, at once; by another one within a
    second."""
    await work(alone, "first", "worker")
    long_ago = alone.clock.now - 3600 * SECOND
    other = alone.ledger if own else await alone.another()
    await other.submit([submission("late", run_at=long_ago)])
    found = await alone.claim()
    if not own:
        assert found == []  # there is a mark
        alone.clock.advance(OFTEN)
        found = await alone.claim()
    assert [one.task_id for one in found] == ["late"]


async def test_a_task_that_becomes_visible_late_is_found_at_once(alone: Stage) -> None:
    """Its submit began before a claim that found nothing, and ends after it."""
    other = await alone.another()
    alone.clock.advance(-0.1)
    begun = alone.clock.now
    alone.clock.advance(0.1)
    await work(alone, "first", "worker")
    alone.clock.advance(-APART)
    await other.submit([submission("late", run_at=begun)])
    assert [one.task_id for one in await alone.claim()] == ["late"]


async def test_a_look_at_everything_comes_however_long_it_takes(alone: Stage) -> None:
    await work(alone, "first", "worker")
    ledger = alone.ledger
    assert isinstance(ledger, PostgresLedger)
    marks(alone)["default", 0].rest = LONGEST
    other = await alone.another()
    await other.submit([submission("late", run_at=1)])
    alone.clock.advance(LONGEST - APART - 1)
    assert await alone.claim() == []
    alone.clock.advance(1)
    assert [one.task_id for one in await alone.claim()] == ["late"]


async def test_a_type_that_was_paused_is_looked_at_from_where_it_was(alone: Stage) -> None:
    await work(alone, "first", "worker")
    await alone.ledger.pause("default", None, None)
    await alone.submit("meanwhile")
    alone.clock.advance(3600)
    await alone.submit("other", type="other")
    assert [one.task_id for one in await alone.claim(9)] == ["other"]
    await alone.ledger.resume("default")
    assert [one.task_id for one in await alone.claim(9)] == ["meanwhile"]


async def test_what_better_ranks_left_is_found_too(alone: Stage) -> None:
    """By looks that others fill, each time one is at everything, and once there is room at once."""
    await work(alone, "first", "worker")
    other = await alone.another()
    await other.submit([submission("late", run_at=alone.clock.now - 3600 * SECOND)])
    for turn in range(3):
        alone.clock.advance(OFTEN * 0.6)
        await alone.submit(f"a{turn}", f"b{turn}", priority=5)
        assert len(await alone.claim(2)) == 2
    assert [one.task_id for one in await alone.claim(2)] == ["late"]


async def test_what_another_claim_held_and_gave_up_is_found_at_once(
    alone: Stage, db: Connection
) -> None:
    await work(alone, "first", "worker")
    await alone.submit("held")
    alone.clock.advance(OFTEN / 2)
    with db.transaction(force_rollback=True):
        db.execute("SELECT FROM unlost.open_task FOR UPDATE")
        assert await alone.claim(2) == []  # it has room for more than it sees
    alone.clock.advance(OFTEN)
    mark = marks(alone)["default", 0]
    mark.rest, mark.looked = LONGEST, [alone.clock.now / SECOND] * len(mark.looked)
    assert [one.task_id for one in await alone.claim()] == ["held"]


async def test_a_claim_that_is_rolled_back_teaches_nothing(
    alone: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await work(alone, "first", "worker")
    await alone.submit("second")
    alone.clock.advance(LONGEST)
    before = marks(alone)["default", 0].at
    assert isinstance(alone.ledger, PostgresLedger)

    async def fails(transaction: Transaction) -> None:
        raise LedgerUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "learn", fails)
        patch.setattr(alone.ledger._marks, "forget", lambda: None)
        with pytest.raises(LedgerUnavailable):
            await alone.claim()
    assert marks(alone)["default", 0].at == before


async def test_with_very_many_types_marks_do_not_pass_what_was_not_taken(alone: Stage) -> None:
    """A claim takes one of each type, and a second one of the first types."""
    types = [f"t{number:03}" for number in range(2 * MOST + 50)]
    for turn in "ab":
        for name in types:
            await alone.submit(f"{name}-{turn}", type=name)
    alone.clock.advance(1)
    most = len(types) + 10
    first = await alone.claim(most)
    assert len(first) == most
    alone.clock.advance(OFTEN / 100)
    assert len(await alone.claim(most)) == 2 * len(types) - most
    assert len(marks(alone)) == MOST


async def test_counts_teach_nothing_of_what_is_parked(alone: Stage) -> None:
    """It comes back with the due time that it had, by whoever takes the limit away."""
    await work(alone, "first", "worker")
    await alone.ledger.change("default", Change(key_limit=1))
    await alone.submit(*(f"t{number}" for number in range(3)), key="k")
    assert len(await alone.claim(3)) == 1
    alone.clock.advance(LONGEST / 2)  # the mark stays that long
    await alone.ledger.counts()
    assert ("default", 0) in marks(alone)
    other = await alone.another()
    await other.change("default", Change(key_limit=None))
    assert len(await alone.claim(3)) == 2


async def test_what_comes_back_in_this_process_is_found_at_once(alone: Stage) -> None:
    await alone.ledger.change("default", Change(key_limit=1))
    await alone.submit(*(f"t{number}" for number in range(3)), key="k")
    assert len(await alone.claim(3)) == 1
    assert isinstance(alone.ledger, PostgresLedger)
    alone.clock.advance(60)
    found = alone.ledger._marks.look(None, alone=False)
    found.learnt = Learnt(alone.clock.now, 0.0, {("default", 0): Seen(alone.clock.now, True)})
    alone.ledger._marks.end(found, True)
    await alone.ledger.change("default", Change(key_limit=None))
    assert len(await alone.claim(3)) == 2


async def test_who_holds_a_transaction_open_is_told_of(
    database: Database, held: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await look(database.url)).notes == ()  # not for long yet
    at_once = HELD_OPEN.replace(f"interval '{LONG} s'", "interval '0 s'")
    monkeypatch.setattr(vacuuming, "HELD_OPEN", at_once)
    [told] = (await look(database.url)).notes
    assert told.startswith(f"process {held.info.backend_pid} (role unlost, idle in transaction)")
    assert "the queue slows down" in told
