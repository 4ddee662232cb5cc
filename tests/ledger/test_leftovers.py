"""What is over leaves its record and its history and nothing else, however much there was of it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

from tests.aws.emulator import Emulator
from tests.conformance.scheduling import made, tick
from tests.conformance.stage import Clock, Stage, must_add_up
from tests.ledger.tables import Table
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost import policy
from unlost.ledger.measured import Measured
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, Pulling
from unlost.ledger.values import PULLED, Claim, Pull, Worker
from unlost.limits.control import Change, Claimant
from unlost.policy import Limits
from unlost.redrive import Named, Redrive
from unlost.task import SECOND, State
from unlost.telemetry.measures import Measures

MANY = 30
"""Types, keys, workers, errors, schedules, pulled attempts, processes that measure."""

PG_TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'unlost'::regnamespace AND relkind = 'r'
"""

LEASE = 10 * SECOND
LATER = 100 * 24 * 3600
"""Seconds after which whatever is kept for a time is not kept any more."""

ALL = Change(limit=None, key_limit=None, breaker=None, rate=None, key_rate=None, pull=False)


async def live(stage: Stage) -> None:
    """Have a day of all kinds of things, and bring all of it to its end."""
    names = [f"{number:03}" for number in range(MANY)]
    for name in names:
        await _die(stage, name)
        await _pulled(stage, name)
        await made(stage, name)
    stage.clock.advance(25)
    for name in names:
        await tick(stage, name)
        await stage.ledger.drop_schedule(name)
    await _redriven(stage)
    for name in names:
        await _paced(stage, name)
        await stage.ledger.change(f"type-{name}", ALL)
    await _measured(stage, names)


async def _die(stage: Stage, name: str) -> None:
    """A task of a type of its own with a rate, with a key of its own, dies of an error of its own,
    at a worker that goes without a word; another waits for the key's rate."""
    of = f"type-{name}"
    await stage.ledger.change(of, Change(limit=5, key_limit=5, rate=10.0, key_rate=0.5))
    await stage.submit(f"a-{name}", f"b-{name}", type=of, key=f"key-{name}")
    (first,) = await stage.claim(2, worker=f"worker-{name}", types=(of,))
    await stage.die(first, policy.error(f"Error{name}", f"of {name}", None))


async def _paced(stage: Stage, name: str) -> None:
    """One more of its type and key starts, just before their rates are taken away."""
    await stage.submit(f"c-{name}", type=f"type-{name}", key=f"key-{name}")
    (one,) = await stage.claim(worker="last")
    await stage.succeed(one)


async def _pulled(stage: Stage, name: str) -> None:
    """A task is claimed by the API, by a worker of its own."""
    await stage.submit(f"p-{name}", type="pulled")
    known_by = f"{PULLED}{name}."
    wanted = Claim(
        f"pull-{name}", [f"{known_by}x"], {"pulled": Limits()}, Limits(2, 60.0),
        claimant=Claimant.PULL,
    )  # fmt: skip
    assert isinstance(stage.ledger, Pulling)
    (one,) = (await stage.ledger.pull(Pull(wanted, "", LEASE, known_by, known_by))).attempts
    await stage.succeed(one)


async def _redriven(stage: Stage) -> None:
    """All that died is redriven, and all that is left succeeds."""
    while reports := await stage.ledger.claim_reports(100, SECOND):
        await stage.ledger.reported([report.id for report in reports])
    await stage.ledger.add_redrive(Redrive("all", canary=0, tolerate=None), Named())
    for _ in range(20):
        stage.clock.advance(5)
        await stage.ledger.step_redrive("all")
        for one in await stage.claim(1_000, worker="last"):
            await stage.succeed(one)
    counts = await stage.ledger.counts()
    assert counts.accepted == counts.states[State.SUCCEEDED]


async def _measured(stage: Stage, names: list[str]) -> None:
    if isinstance(stage.ledger, Measured):
        for name in names:
            await stage.ledger.open_measures(name)
            await stage.ledger.publish_measures(name, Measures({}, {}, {"gone": 1}))


async def tidy(stage: Stage) -> None:
    """What services do in time: purge, and what each start of one does."""
    stage.clock.advance(LATER)
    while await stage.ledger.purge(stage.clock() - SECOND, 100) == 100:
        pass
    while await stage.ledger.purge_redrives(stage.clock() - SECOND, 100) == 100:
        pass
    if isinstance(stage.ledger, Measured):
        await stage.ledger.open_measures("new")
    await stage.ledger.enlist(Worker("new"), LEASE)


async def lived(stage: Stage) -> None:
    await live(stage)
    await tidy(stage)
    await must_add_up(stage.ledger)
    await stage.ledger.close()


def must_be_few(rows: Counter[str], remains: set[str]) -> None:
    """Of each kind that does not remain of every task fewer rows than there was one of."""
    many = {name: count for name, count in rows.items() if count >= MANY - 1}
    assert set(many) == remains, rows


async def test_sqlite(tmp_path: Path, clock: Clock) -> None:
    opener = partial(open_ledger, f"sqlite:///{tmp_path}/ledger.db", clock)
    await lived(Stage(await opener(), clock, opener))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        rows = {name: len(db.execute(f"SELECT 1 FROM {name}").fetchall()) for (name,) in tables}
    must_be_few(Counter(rows), {"task", "act"})


async def test_postgres(postgres: Server, clock: Clock) -> None:
    with Database(postgres) as database:
        opener = partial(database.ledger, clock)
        await lived(Stage(await opener(), clock, opener))
        with database.connect() as db:
            tables = db.execute(PG_TABLES).fetchall()
            rows = {name: db.execute(f"SELECT FROM unlost.{name}").rowcount for (name,) in tables}
    must_be_few(Counter(rows), {"task", "act", "tally"})


async def test_dynamodb(emulator: Emulator, clock: Clock) -> None:
    """What has a time to live goes by it."""
    with Table(emulator.url) as table:

        async def opener() -> Ledger:
            return table.ledger(clock)

        await lived(Stage(await opener(), clock, opener))
        pages = table.client.get_paginator("scan").paginate(TableName=table.name)
        kinds = Counter(
            f"{item['pk']['S'].split('#')[0]} {item['sk']['S'].split('#')[0]}"
            for page in pages
            for item in page["Items"]
            if "ttl" not in item
        )
    must_be_few(kinds, {"t task", "t h"})
