"""Lists leap by milestones: what they show is what is there, in whatever order it was submitted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from tests.conformance.scheduling import made, tick
from tests.conformance.stage import Clock, Stage, ended, follow_up, pages, submission
from tests.postgres.databases import Database
from unlost.ledger.postgres import PostgresLedger
from unlost.ledger.postgres.connection.locks import COUNTING, lock_shared
from unlost.ledger.postgres.records import copying
from unlost.ledger.postgres.tasks import listing
from unlost.ledger.postgres.upkeep import milestones
from unlost.ledger.values import Query
from unlost.schedule.schedule import Moved
from unlost.task import Event, Outcome, State

Db = psycopg.Connection[tuple[Any, ...]]

LAST = "SELECT coalesce(max(seq), 0), coalesce(max(submitted_at), 0) FROM unlost.task"

TASK = """
INSERT INTO unlost.task (seq, submitted_at, updated_at, priority, state, id, type, digest)
VALUES (%(seq)s, %(at)s, %(at)s, 0, %(ended)s, %(id)s, 'default', '')
"""

OPEN = """
INSERT INTO unlost.open_task (seq, due_at, updated_at, rank, state, type)
VALUES (%(seq)s, %(at)s, %(at)s, 0, 'queued', 'default')
"""

ATTEMPT = """
INSERT INTO unlost.attempt (seq, number, started_at, finished_at, outcome)
VALUES (%(seq)s, 1, %(at)s, %(at)s, 'succeeded')
"""

COUNT = "UPDATE unlost.tally SET succeeded = 1, queued = 1, accepted = 2 WHERE slot = 0"


@dataclass
class History:
    """Submits that overlap, imports, steps of the clock, and milestones when no submit is under
    way, as the ledger keeps them."""

    random: Random
    db: Db
    now: int = 1_000
    position: int = 0
    running: float = 0.5
    under_way: list[tuple[int, list[int]]] = field(default_factory=list)
    tasks: list[tuple[int, int, str | None]] = field(default_factory=list)

    def go_on(self) -> None:
        """One thing happens."""
        self.now += self.random.choice((1, 1, 1, 5, 9, -2))
        what = self.random.random()
        if what < 0.4:
            [(_, newest)] = self.db.execute(LAST)
            self.under_way.append((max(self.now, newest), []))
        elif what < 0.75 and self.under_way:
            many = self.random.choice((1, 1, 3))
            self.random.choice(self.under_way)[1].extend(self._positions(many))
        elif what < 0.975 and self.under_way:
            at, positions = self.under_way.pop(self.random.randrange(len(self.under_way)))
            self._store(at, positions)
        elif what > 0.975:
            [(_, newest)] = self.db.execute(LAST)
            at = max(1, newest + self.random.randrange(-90, 30))
            self._store(at, self._positions(2))
            self.db.execute(copying.MILESTONES, {"at": at})

    def settle_down(self) -> None:
        """Whatever is under way comes to its end."""
        while self.under_way:
            self._store(*self.under_way.pop())

    def of(self, state: str) -> list[str]:
        """What a list of this state has to show."""
        return [f"t{seq}" for at, seq, one in sorted(self.tasks, key=place)[::-1] if one == state]

    def _positions(self, many: int) -> list[int]:
        self.position += many
        return list(range(self.position - many + 1, self.position + 1))

    def _store(self, at: int, positions: list[int]) -> None:
        for seq in positions:
            ran = self.random.random() < self.running
            state = "succeeded" if ran else self.random.choice(("queued", "queued", "cancelled"))
            ended = None if state == "queued" else state
            row = {"seq": seq, "at": at, "ended": ended, "id": f"t{seq}"}
            self.db.execute(TASK, row)
            if state != "cancelled":
                self.db.execute(ATTEMPT if ran else OPEN, row)
            self.tasks.append((at, seq, state))


def place(task: tuple[int, int, str | None]) -> tuple[int, int]:
    return task[:2]


@pytest.mark.parametrize("seed", range(8))
async def test_lists_show_what_is_there_in_order_after_any_history(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(listing, "PASSED", 40)
    monkeypatch.setattr(listing, "NEWEST", 2)
    ledger = await database.ledger(clock)
    with database.connect() as db:
        history = History(Random(seed), db)
        db.execute(COUNT)
        for _ in range(30):
            history.running = history.random.choice((0.0, 0.0, 0.0, 1.0))
            for _ in range(16):
                history.go_on()
            history.settle_down()
            await ledger._store.write(lambda one: milestones.set_milestone(one, 3))
        for state in (State.SUCCEEDED, State.QUEUED):
            for limit in (1, 7, 1_000):
                query = Query(state=state, limit=limit)
                shown = [one.task_id async for page in pages(ledger, query) for one in page.records]
                assert shown == history.of(state)
    await ledger.close()


async def test_who_submits_sets_a_milestone_now_and_then(
    alone: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milestones, "AFTER", 10)
    monkeypatch.setattr(milestones, "EVERY", 20)
    monkeypatch.setattr(milestones, "WITHIN", 20.0)
    assert isinstance(alone.ledger, PostgresLedger)
    with database.connect() as db:
        [(before, _)] = db.execute("SELECT last_value, is_called FROM unlost.task_seq_seq")
        for batch in range(6):
            await alone.ledger.submit([submission(f"{batch}-{n}") for n in range(10)])
            if looking := alone.ledger._milestones._running:
                await asyncio.wait([looking], timeout=20)
        rows = db.execute("SELECT seq, submitted_at FROM unlost.milestone ORDER BY seq").fetchall()
        held = [db.execute(HOLDS, {"seq": seq, "at": at}).fetchone() for seq, at in rows]
    assert 1 < len(rows) <= 4
    assert rows[-1][0] > before + 20
    assert held == [(True,)] * len(rows)


async def test_tasks_that_handlers_and_schedules_submit_count_as_well(
    alone: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milestones, "AFTER", 3)
    assert isinstance(alone.ledger, PostgresLedger)
    milestone = alone.ledger._milestones
    await alone.submit("parent")
    attempt = await alone.run("parent")
    tasks = tuple(follow_up(attempt, submission(name)) for name in ("a", "b"))
    brought = replace(ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED), submit=tasks)
    looks: list[str] = []

    async def look() -> None:
        looks.append("a look")

    monkeypatch.setattr(milestone, "_look", look)
    await alone.ledger.settle([brought])
    await asyncio.sleep(0)
    assert len(looks) == 1
    milestone._running = None
    await made(alone)
    for _ in range(3):
        alone.clock.advance(10)
        assert await tick(alone) == [Moved.DONE]
    await asyncio.sleep(0)
    assert len(looks) == 2


async def test_who_could_set_none_lets_submits_alone_for_a_while(
    alone: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try holds up all submits as long as it waits for one that does not come to its end."""
    monkeypatch.setattr(milestones, "AFTER", 1)
    monkeypatch.setattr(milestones, "EVERY", 1)
    monkeypatch.setattr(milestones, "WITHIN", 0.2)
    assert isinstance(alone.ledger, PostgresLedger)
    milestone = alone.ledger._milestones
    with database.connect() as db, database.connect() as slow:
        slow.execute("BEGIN")
        slow.execute(lock_shared(COUNTING))
        await alone.submit("a")
        assert await looked(milestone)
        slow.execute("ROLLBACK")
        await alone.submit("b")
        assert not await looked(milestone)
        monkeypatch.setattr(milestones, "WITHIN", 20.0)
        monkeypatch.setattr(milestone, "_rests_until", 0.0)
        await alone.submit("c")
        assert await looked(milestone)
        assert db.execute("SELECT count(*) FROM unlost.milestone").fetchone() == (1,)


async def looked(milestone: milestones.Milestones) -> bool:
    """Whether one is set, or tried, to the end of that."""
    running = milestone._running
    if running is not None:
        await asyncio.wait([running], timeout=20)
    return running is not None


HOLDS = """
SELECT bool_and(CASE WHEN seq <= %(seq)s THEN submitted_at <= %(at)s
                ELSE submitted_at >= %(at)s END)
FROM unlost.task
"""
