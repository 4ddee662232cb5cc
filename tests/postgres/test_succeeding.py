"""Successes that nothing hangs on are settled in one statement; all others are not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.conformance.stage import BOOM, Stage, ended, must_add_up
from tests.postgres.databases import Database
from tests.postgres.test_positions import until_waiting
from unlost.ledger.postgres.attempts import settling
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.schema import SLOTS
from unlost.ledger.values import Claimed, Settled, Settlement
from unlost.limits.control import Change
from unlost.task import Event, Outcome, State


class Ordinary:
    """Settles as usual, and notes what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settled: list[str] = []
        self._settle = settling.settle
        monkeypatch.setattr(settling, "settle", self)

    async def __call__(
        self, transaction: Transaction, settlements: Sequence[Settlement]
    ) -> list[Settled]:
        self.settled += [done.task_id for done in settlements]
        return await self._settle(transaction, settlements)


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> Ordinary:
    return Ordinary(monkeypatch)


def success(attempt: Claimed, result: str | None = None) -> Settlement:
    return ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED, result=result)


async def claimed(stage: Stage, *task_ids: str) -> list[Claimed]:
    await stage.submit(*task_ids)
    return await stage.claim(len(task_ids))


async def test_plain_successes_are_settled_in_one_statement(
    alone: Stage, ordinary: Ordinary
) -> None:
    b, a, c = await claimed(alone, "b", "a", "c")
    assert (
        await alone.ledger.settle([success(b, '"é"'), success(a), success(c, "1")])
        == [Settled.HELD] * 3
    )
    assert ordinary.settled == []
    for task_id, result in (("a", None), ("b", '"é"'), ("c", "1")):
        record = await alone.ledger.get(task_id)
        assert record is not None
        assert (record.state, record.result) == (State.SUCCEEDED, result)
        assert [one.outcome for one in record.attempts] == [Outcome.SUCCEEDED]


async def test_of_those_that_are_stale_or_come_twice_one_holds(
    alone: Stage, ordinary: Ordinary
) -> None:
    a, b = await claimed(alone, "a", "b")
    assert await alone.ledger.settle([success(a)]) == [Settled.HELD]
    both = [success(a, "2"), success(b, "1"), success(b, "2")]
    assert await alone.ledger.settle(both) == [Settled.REFUSED, Settled.HELD, Settled.REFUSED]
    assert ordinary.settled == ["a", "b"]
    record = await alone.ledger.get("b")
    assert record is not None
    assert record.result == "1"


async def test_beside_a_failure_all_are_settled_as_usual(alone: Stage, ordinary: Ordinary) -> None:
    a, b = await claimed(alone, "a", "b")
    failure = ended(b, Outcome.FAILED, Event.DIE, error=BOOM)
    assert await alone.ledger.settle([success(a), failure]) == [Settled.HELD] * 2
    assert ordinary.settled == ["a", "b"]


async def test_where_something_was_set_meanwhile_they_are_settled_as_usual(
    alone: Stage, ordinary: Ordinary
) -> None:
    a, b = await claimed(alone, "a", "b")
    other = await alone.another()
    await other.change("mail", Change(limit=1))
    assert await alone.ledger.settle([success(a)]) == [Settled.HELD]
    assert ordinary.settled == ["a"]
    assert await alone.ledger.settle([success(b)]) == [Settled.HELD]
    assert ordinary.settled == ["a", "b"]


FREE = "SELECT count(*) FROM (SELECT FROM unlost.tally FOR UPDATE SKIP LOCKED) AS free"


async def test_the_counters_are_locked_last_and_nothing_is_written_by_halves(
    alone: Stage, database: Database
) -> None:
    """Somebody writes a task's row meanwhile, who does not hold its open row."""
    a, b = await claimed(alone, "a", "b")
    with database.connect() as holder, database.connect() as watcher:
        holder.execute("BEGIN")
        holder.execute("UPDATE unlost.task SET carried = carried WHERE id = 'b'")
        settling = asyncio.create_task(alone.ledger.settle([success(a, "1"), success(b, "2")]))
        await until_waiting(watcher, 1, settling)
        assert watcher.execute(FREE).fetchone() == (SLOTS,)
        holder.execute("COMMIT")
        assert await settling == [Settled.HELD] * 2
    for task_id, result in (("a", "1"), ("b", "2")):
        record = await alone.ledger.get(task_id)
        assert record is not None
        assert (record.state, record.result) == (State.SUCCEEDED, result)
    await must_add_up(alone.ledger)
