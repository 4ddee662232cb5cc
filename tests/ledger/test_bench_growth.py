"""The bench of growth fills ledgers as they would have come to be, and judges by its bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from bench.growth import run
from bench.growth.comparing import Beside
from bench.growth.homes import Home, PostgresHome, SqliteHome
from bench.growth.run import BOUND, Grown, Stop
from bench.growth.space import Space, payload_of, space
from bench.growth.steps import LISTS, WRITES, Client
from tests.postgres.databases import Database
from tests.postgres.server import Server
from unlost.audit import audit
from unlost.ledger.values import Query
from unlost.task import State

HOMES = ("sqlite", "postgresql")


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """An empty ledger."""
    if request.param == "sqlite":
        yield SqliteHome(tmp_path / "ledger.db")
        return
    server: Server = request.getfixturevalue("postgres")
    with Database(server) as database:
        yield PostgresHome(database)


async def test_a_ledger_that_was_filled_in_bulk_audits_clean(home: Home) -> None:
    await (await home.open()).close()
    home.fill(350, 70, "{}")
    home.fill(1_234, 56, "{}")
    ledger = await home.open()
    found = await audit(ledger)
    assert (found.ok, found.violations) == (True, [])
    dead, cancelled = found.states[State.DEAD], found.states[State.CANCELLED]
    assert dead > 10
    assert cancelled > 10
    assert found.states[State.SUCCEEDED] == 350 + 1_234 - dead - cancelled
    assert found.states[State.QUEUED] == 70 + 56
    assert (await ledger.counts()).states == found.states
    assert sum(group.count for group in await ledger.groups()) == dead
    await ledger.close()


async def test_what_a_task_takes_is_weighed_and_falls_with_a_purge(home: Home) -> None:
    found = await space(home, 2_000, 300)
    assert 2_000 < found.kept < 5_000
    assert found.purged < found.kept - 1_900


@pytest.mark.parametrize("kind", HOMES)
async def test_a_small_run_compares_every_step(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "NEW", (100, 1_000))
    with (
        TemporaryDirectory() as folder,  # another than pytest's: the server's user has to see it
        run.homes(kind, Path(folder), shared_buffers="64MB") as (new, grown, *_),
    ):
        stops = await run.grow(new, grown, (200, 300), rounds=1)
    assert [stop.over for stop in stops] == [200, 300]
    for stop in stops:
        assert [one.step for one in stop.steps] == [*WRITES, *LISTS]
        assert all(one.seconds > 0 and one.times > 0 for one in stop.steps)
        assert any(one.touched > 1 for one in stop.steps)


async def test_what_waits_on_top_costs_the_lists_of_other_states_nothing(tmp_path: Path) -> None:
    home = SqliteHome(tmp_path / "ledger.db")
    await (await home.open()).close()
    home.fill(1_000, 100, "{}")
    home.fill(0, 21_000, "{}")  # more than a page may look at
    ledger = await home.open()
    client = Client(ledger, Random(1), "{}")
    await client.enlist()
    await client.claim()
    meter = home.meter(ledger)
    for query, found in (
        (Query(state=State.RUNNING), 50),
        (Query(state=State.CANCELLED), 10),
        (Query(state=State.RETRYING), 0),
        (Query(id_prefix="7"), 50),
    ):
        before = meter()
        assert len((await ledger.page(query)).records) == found
        assert meter() - before < 40_000, query
    await ledger.close()


def grown(times: float = 1.0, kept: float = 500) -> Grown:
    steps = [Beside(name, 0.001, times, 1) for name in (*WRITES, *LISTS)]
    return Grown("SQLite", "instructions", [Stop(1_000, 1, steps)], [Space(200, kept, 300)])


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (grown(), True),
        (grown(times=BOUND), True),
        (grown(times=BOUND + 0.01), False),
        (grown(kept=700), True),
        (grown(kept=701), False),
        (grown(kept=300), False),
    ],
)
def test_each_bound_is_judged(found: Grown, *, holds: bool) -> None:
    assert found.holds is holds


def test_the_plot_has_a_line_for_each_step_that_is_drawn() -> None:
    drawn = run.picture(grown(times=1.25))
    assert drawn.count("<polyline") == len(run.DRAWN) + 1
    assert "the slowest list: 1.25" in drawn


def test_a_payload_has_the_size_that_was_asked_for() -> None:
    assert len(json.dumps(json.loads(payload_of(200, Random(1))), separators=(",", ":"))) == 200
