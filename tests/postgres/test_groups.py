"""Groups of dead letters on PostgreSQL go once no letter is left, whoever counts meanwhile."""

from __future__ import annotations

import asyncio

from tests.conformance.stage import BOOM, OTHER, Stage
from tests.postgres.databases import Database

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
