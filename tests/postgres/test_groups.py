"""Groups of dead letters on PostgreSQL go once no letter is left, whoever counts meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.stage import BOOM, OTHER, Stage
from tests.postgres.databases import Database
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.dead_letters import redrives
from unlost.ledger.protocol import Ledger
from unlost.task import DEFAULT_TYPE, Micros

Rows = list[tuple[str, int]]


def rows(database: Database) -> Rows:
    with database.connect() as db:
        found = db.execute(
            "SELECT error_type, sum(count)::bigint FROM unlost.dead_group GROUP BY 1 ORDER BY 1"
        )
        return [(row[0], row[1]) for row in found]


async def spread(stage: Stage, database: Database) -> None:
    """A letter of `Other`, and two of `Boom` that were redriven, counted in different slots."""
    await stage.bury("a", "b")
    await stage.bury("c", error=OTHER)
    with database.connect() as db:
        db.execute("UPDATE unlost.dead_group SET slot = mod(slot + 1, 8)")
    await stage.ledger.redrive("a", None, None)
    await stage.ledger.redrive("b", None, None)
    with database.connect() as db:
        assert db.execute("SELECT count(*) FROM unlost.dead_group").fetchone() == (3,)


async def test_a_group_without_letters_goes_and_others_stay(
    alone: Stage, database: Database
) -> None:
    await spread(alone, database)
    await alone.ledger.purge_redrives(0, 1)
    assert rows(database) == [("Other", 1)]
    (group,) = await alone.ledger.groups()
    assert (group.error_type, group.count) == ("Other", 1)
    await alone.die(await alone.run("a"), BOOM)
    assert rows(database) == [("Boom", 1), ("Other", 1)]


async def test_one_in_which_somebody_counts_stays_until_that_is_done(
    alone: Stage, database: Database
) -> None:
    await spread(alone, database)
    with database.connect() as db:
        db.execute("BEGIN")
        changed = db.execute(
            "UPDATE unlost.dead_group SET count = count + 1 WHERE (fingerprint, slot) IN ("
            "SELECT fingerprint, max(slot) FROM unlost.dead_group WHERE error_type = 'Boom'"
            " GROUP BY 1)"
        )
        assert changed.rowcount == 1
        await alone.ledger.purge_redrives(0, 1)
        db.execute("ROLLBACK")
    assert rows(database) == [("Boom", 0), ("Other", 1)]
    await alone.ledger.purge_redrives(0, 1)
    assert rows(database) == [("Other", 1)]


async def test_whoever_dies_meanwhile_is_counted(alone: Stage, database: Database) -> None:
    other = await alone.another()
    names = [f"t{number}" for number in range(20)]
    await alone.submit(*names)

    async def forget() -> None:
        while not over.is_set():
            await other.purge_redrives(0, 10)

    over = asyncio.Event()
    forgetting = asyncio.create_task(forget())
    for _ in range(5):
        claimed = await alone.claim(20)
        await asyncio.gather(*(alone.die(one, BOOM) for one in claimed))
        await asyncio.gather(*(alone.ledger.redrive(name, None, None) for name in names[:-1]))
        await alone.ledger.redrive(names[-1], None, None)
    claimed = await alone.claim(20)
    await asyncio.gather(*(alone.die(one, BOOM) for one in claimed))
    over.set()
    await forgetting
    assert rows(database) == [("Boom", 20)]


def counted(database: Database) -> list[tuple[str, int, int]]:
    """Of each type, how many letters and in how many rows."""
    with database.connect() as db:
        found = db.execute(
            "SELECT type, sum(count)::bigint, count(*) FROM unlost.group_of_type"
            " GROUP BY 1 ORDER BY 1"
        )
        return [(row[0], row[1], row[2]) for row in found]


async def test_counts_by_type_of_several_processes_become_one(
    alone: Stage, database: Database
) -> None:
    await alone.bury("a", "b", type="mail")
    await alone.bury("c", type="sms")
    with database.connect() as db:  # as by others
        db.execute("UPDATE unlost.group_of_type SET process = -process")
    await alone.ledger.redrive("b", None, None)
    await alone.ledger.discard("c", None, None)
    assert counted(database) == [("mail", 1, 2), ("sms", 0, 2)]
    with database.connect() as db:
        db.execute("BEGIN")
        db.execute("SELECT FROM unlost.group_of_type WHERE process < 0 FOR UPDATE")
        await alone.ledger.purge_redrives(0, 1)
        db.execute("ROLLBACK")
    assert counted(database) == [("mail", 1, 2), ("sms", 0, 2)]
    await alone.ledger.purge_redrives(0, 1)
    assert counted(database) == [("mail", 1, 1)]
    [group] = await alone.ledger.groups(types=("mail", "sms"))
    assert group.count == 1


async def test_letters_by_type_are_counted_while_the_counts_are_joined(
    alone: Stage, database: Database
) -> None:
    others = [await alone.another() for _ in range(2)]
    names = [f"t{number}" for number in range(20)]
    await alone.submit(*names)

    async def join(ledger: Ledger) -> None:
        while not over.is_set():
            await ledger.purge_redrives(0, 10)

    over = asyncio.Event()
    joining = [asyncio.create_task(join(other)) for other in others]
    for _ in range(5):
        claimed = await alone.claim(20)
        await asyncio.gather(*(alone.die(one, BOOM) for one in claimed))
        await asyncio.gather(*(alone.ledger.redrive(name, None, None) for name in names))
    claimed = await alone.claim(20)
    await asyncio.gather(*(alone.die(one, BOOM) for one in claimed))
    over.set()
    await asyncio.gather(*joining)
    assert [(of, number) for of, number, _ in counted(database)] == [(DEFAULT_TYPE, 20)]


MANY = """
INSERT INTO unlost.dead_group (fingerprint, slot, error_type, sample, count)
SELECT 'f' || lpad(n::text, 2, '0'), slot, 'E', '', (1 - 2 * slot) * (1 + mod(n, 2) * (1 - slot))
FROM generate_series(0, 39) AS n, generate_series(0, 1) AS slot
"""
"""Forty groups of two rows; in every other no letter is left."""


def empty(database: Database) -> list[str]:
    with database.connect() as db:
        found = db.execute(
            "SELECT fingerprint FROM unlost.dead_group GROUP BY 1 HAVING sum(count) = 0 ORDER BY 1"
        )
        return [str(row[0]) for row in found]


async def test_each_call_looks_at_a_stretch_of_all_groups_and_the_next_goes_on_behind_it(
    alone: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlost.ledger.postgres.parts.redrives.FORGET_AT_ONCE", 12)
    monkeypatch.setattr("unlost.ledger.postgres.parts.redrives.FORGET_STRETCHES", 2)
    with database.connect() as db:
        db.execute(MANY)
    left = []
    for _ in range(4):  # of twelve rows, those of five groups are surely all of them
        await alone.ledger.purge_redrives(0, 1)
        left.append(empty(database))
    evens = [f"f{number:02}" for number in range(0, 40, 2)]
    assert left == [evens[5:], evens[10:], evens[15:], []]
    with database.connect() as db:
        db.execute("UPDATE unlost.dead_group SET count = 0 WHERE fingerprint = 'f01'")
    await alone.ledger.purge_redrives(0, 1)
    assert empty(database) == []
    with database.connect() as db:
        assert db.execute("SELECT count(*) FROM unlost.dead_group").fetchone() == (38,)
        db.execute("DELETE FROM unlost.dead_group")


async def test_old_redrives_go_before_groups_are_looked_at(
    alone: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.connect() as db:
        db.execute(MANY)

    async def purge(transaction: Transaction, before: Micros, limit: int) -> int:
        found.append(len(empty(database)))
        return limit if len(found) == 1 else 0

    found: list[int] = []
    monkeypatch.setattr(redrives, "purge", purge)
    assert await alone.ledger.purge_redrives(0, 5) == 5
    assert await alone.ledger.purge_redrives(0, 5) == 0
    assert found == [20, 20]
    assert empty(database) == []
    with database.connect() as db:
        db.execute("DELETE FROM unlost.dead_group")
