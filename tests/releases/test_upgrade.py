"""Ledgers that earlier releases wrote (`write.py`) are opened, upgraded, whole, and go on."""

from __future__ import annotations

import base64
import gzip
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import apsw
import msgspec
import psycopg
import pytest
from msgspec.structs import replace

from tests.aws.emulator import Emulator
from tests.conformance.stage import (
    LEASE,
    Clock,
    Stage,
    ended,
    follow_up,
    must_add_up,
    submission,
)
from tests.ledger.tables import Table
from tests.postgres.databases import empty
from tests.postgres.server import Server
from tests.releases.write import DYNAMODB, EXPECTED, MEASURES, POSTGRES, SQLITE, Expected
from unlost import carried, policy
from unlost.effects import Recorded
from unlost.ledger.measured import Measured
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres import PostgresLedger, migrations
from unlost.ledger.protocol import Ledger
from unlost.ledger.sqlite.migrations import MIGRATIONS
from unlost.ledger.values import NewStep, Query, Verdict
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import SECOND, Event, Outcome, State
from unlost.webhooks.notices import Delivery

HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in HERE.iterdir() if (path / EXPECTED).exists())

Opener = Callable[[Clock], Awaitable[Ledger]]


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> Path:
    """What a release wrote."""
    return HERE / str(request.param)


@pytest.fixture
def expected(release: Path) -> Expected:
    return msgspec.json.decode((release / EXPECTED).read_bytes(), type=Expected)


@pytest.fixture
def file(release: Path, tmp_path: Path) -> Path:
    """Its SQLite ledger."""
    path = tmp_path / "ledger.db"
    path.write_bytes(gzip.decompress((release / SQLITE).read_bytes()))
    return path


@pytest.fixture
def database(release: Path, postgres: Server) -> str:
    """The URL of a database with its ledger."""
    url = empty(postgres, "release")
    with psycopg.connect(url, autocommit=True) as db:
        db.execute((release / POSTGRES).read_bytes())
    return url


def from_sqlite(request: pytest.FixtureRequest, opened: AsyncExitStack) -> Opener:
    file = request.getfixturevalue("file")
    return lambda clock: open_ledger(f"sqlite:///{file}", clock)


def from_postgres(request: pytest.FixtureRequest, opened: AsyncExitStack) -> Opener:
    url = request.getfixturevalue("database")
    return lambda clock: PostgresLedger.open(url, clock)


def from_dynamodb(request: pytest.FixtureRequest, opened: AsyncExitStack) -> Opener:
    """In a table with its items; its counters have counted what led to them."""
    emulator: Emulator = request.getfixturevalue("emulator")
    release: Path = request.getfixturevalue("release")
    table = opened.enter_context(Table(emulator.url))
    for line in (release / DYNAMODB).read_text().splitlines():
        table.client.put_item(TableName=table.name, Item=stored(msgspec.json.decode(line)))
    assert sum(len(batch) for batch in table.stream.batches()) > 0

    async def opener(clock: Clock) -> Ledger:
        ledger = table.ledger(clock)
        await ledger.open()
        return ledger

    return opener


def stored(item: dict[str, Any]) -> dict[str, Any]:
    """An item as the client takes it."""
    return {
        name: {"B": base64.b64decode(value["B"])} if "B" in value else value
        for name, value in item.items()
    }


HOMES = {"sqlite": from_sqlite, "postgres": from_postgres, "dynamodb": from_dynamodb}


@pytest.fixture(params=HOMES)
async def stage(request: pytest.FixtureRequest, expected: Expected) -> AsyncIterator[Stage]:
    """The ledger in each home, opened by today's code."""
    clock = Clock(expected.now)
    async with AsyncExitStack() as opened:
        opening = HOMES[request.param](request, opened)

        async def opener() -> Ledger:
            ledger = await opening(clock)
            opened.push_async_callback(ledger.close)
            return ledger

        stage = Stage(await opener(), clock, opener)
        stage.tokens(1_000)  # the release had those
        yield stage


async def test_the_file_is_brought_to_this_version(file: Path) -> None:
    assert user_version(file) < len(MIGRATIONS)
    await (await open_ledger(f"sqlite:///{file}")).close()
    assert user_version(file) == len(MIGRATIONS)


def user_version(file: Path) -> int:
    db = apsw.Connection(str(file))
    try:
        return int(db.pragma("user_version"))
    finally:
        db.close()


async def test_the_tables_are_brought_to_this_version(database: str) -> None:
    assert table_version(database) < len(migrations.MIGRATIONS)
    await (await PostgresLedger.open(database)).close()
    assert table_version(database) == len(migrations.MIGRATIONS)


def table_version(url: str) -> int:
    with psycopg.connect(url) as db:
        row = db.execute("SELECT version FROM unlost.ledger").fetchone()
        assert row is not None
        return int(row[0])


async def test_all_is_there_and_every_promise_holds(stage: Stage, expected: Expected) -> None:
    ledger = stage.ledger
    await must_add_up(ledger)
    for copy in expected.copies:
        assert await stage.record(copy.record.task_id) == copy.record
    copies = [copy for _, copy in await ledger.copies(0, 1_000)]
    copies.sort(key=lambda copy: copy.record.task_id)
    assert [replace(copy, effects=None) for copy in copies] == expected.copies
    assert await ledger.controls() == expected.controls
    assert await ledger.groups() == expected.groups
    counts = await ledger.counts()
    assert (counts.accepted, counts.settled) == (expected.accepted, expected.settled)
    assert counts.states == expected.states
    assert set(counts.states) == set(State)
    if isinstance(ledger, Measured):
        assert await ledger.sum_measures() == MEASURES
    told, delivery = await stage.record("told"), await the_delivery(stage)
    assert carried.read(told.carried).callback_url == delivery.url == "https://example.org/told"


async def test_lists_and_groups_by_type_have_what_was_there(
    stage: Stage, expected: Expected
) -> None:
    records = [copy.record for copy in expected.copies]
    for state in (State.DEAD, State.CANCELLED):
        listed = await stage.walk(Query(state=state, limit=1))
        assert sorted(listed) == sorted(one.task_id for one in records if one.state is state)
    dead = Counter(one.type for one in records if one.state is State.DEAD)
    assert dead
    for task_type in {one.type for one in records}:
        groups = await stage.ledger.groups(types=(task_type,))
        assert sum(group.count for group in groups) == dead[task_type]


async def the_delivery(stage: Stage) -> Delivery:
    """What is to be told, as today's handler reads it."""
    (record,) = [
        entry.record
        for entry in await stage.ledger.entries(0, 1_000)
        if entry.record.task_id.startswith("webhook_")
    ]
    payload = (await stage.record(record.task_id)).payload
    return msgspec.json.decode(payload or "", type=Delivery)


async def test_the_same_submit_is_the_same_task(stage: Stage) -> None:
    mail: dict[str, Any] = {"type": "orders", "key": "bob", "priority": -1}
    same, other = (submission("queued", payload, **mail) for payload in ("[null]", "[]"))
    gone = submission("purged", '{"to": "ann"}', type="mail")
    verdicts = [one.verdict for one in await stage.ledger.submit([same, other, gone])]
    assert verdicts == [Verdict.REPLAYED, Verdict.CONFLICT, Verdict.REPLAYED]


async def test_each_death_that_was_not_reported_is(stage: Stage) -> None:
    reports = await stage.ledger.claim_reports(100, LEASE)
    assert sorted(report.task_id for report in reports) == [
        "dead", "dead-again", "dead-again", "redriven"
    ]  # fmt: skip
    payloads = sorted(report.payload for report in reports if report.task_id == "dead-again")
    assert payloads == ['{"sum": 13}', '{"sum": 14}']
    await stage.ledger.reported([report.id for report in reports])
    stage.clock.now += 2 * LEASE
    assert await stage.ledger.claim_reports(100, LEASE) == []


async def test_what_was_under_way_comes_to_its_end(stage: Stage, expected: Expected) -> None:
    await settle_what_ran(stage)
    await once_and_on(stage)
    await redrive_the_dead(stage)
    await stage.ledger.resume("reports")
    await work(stage)
    redrive = await stage.ledger.step_redrive("all")
    assert (redrive.state, redrive.redriven, redrive.succeeded) == (RedriveState.DONE, 1, 1)
    await must_add_up(stage.ledger)
    await stage.reopen()
    counts = await stage.ledger.counts()
    cancelled = expected.states[State.CANCELLED]
    assert counts.states[State.CANCELLED] == cancelled
    assert counts.states[State.SUCCEEDED] == counts.accepted - cancelled
    assert counts.accepted == expected.accepted + 1
    reports = await stage.ledger.claim_reports(100, LEASE)
    await stage.ledger.reported([report.id for report in reports])  # before that they stay
    assert await stage.ledger.purge(stage.clock.now + SECOND, 1_000) == counts.accepted - 1
    await must_add_up(stage.ledger)


async def settle_what_ran(stage: Stage) -> None:
    """A worker of the release goes on and settles; what another ran is lost."""
    ledger = stage.ledger
    stage.clock.advance(20)
    assert await ledger.extend(["old-alive"], LEASE) == {"old-alive"}
    stage.clock.advance(20)
    lost = await ledger.held(None)
    assert sorted(held.task_id for held in lost) == ["of-ann", "running-again"]
    ends = [
        ended(held, Outcome.LOST, Event.RETRY, wait=1, error=policy.WORKER_LOST) for held in lost
    ]
    assert all(await ledger.settle(ends))
    (held,) = await ledger.held("old-alive")
    assert (held.task_id, held.number, held.max_retries) == ("running", 1, 5)
    success = ended(held, Outcome.SUCCEEDED, Event.SUCCEED, result='"old"')
    assert await ledger.settle([success])
    assert (await stage.record("running")).result == '"old"'


async def once_and_on(stage: Stage) -> None:
    """An attempt of a task of the release records a step, once, and submits another task."""
    ledger = stage.ledger
    (attempt,) = await stage.claim(types=("billing",))
    assert (attempt.task_id, attempt.number, attempt.redrive_count) == ("redriven", 2, 1)
    recorded = [
        await ledger.record_step(NewStep("redriven", attempt.token, "charge", result))
        for result in ("1", "1", "2")
    ]
    assert recorded == [Recorded.KEPT, Recorded.KEPT, Recorded.ANOTHER]
    (step,) = await ledger.steps_of("redriven", results=True)
    assert (step.name, step.attempt, step.result) == ("charge", 2, "1")
    follow = follow_up(attempt, submission("followed", type="mail"))
    success = ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED)
    assert all(await ledger.settle([replace(success, submit=(follow,))]))
    assert (await stage.record("followed")).state is State.QUEUED


async def redrive_the_dead(stage: Stage) -> None:
    """One by itself, the other by a redrive of many."""
    await stage.ledger.redrive("dead", "bob", "mended")
    wanted = Redrive("all", type="billing", canary=0, tolerate=None)
    await stage.ledger.add_redrive(wanted, Named())
    for _ in range(5):
        await stage.ledger.step_redrive("all")
    assert (await stage.record("dead-again")).state is State.QUEUED


async def work(stage: Stage) -> None:
    """Let workers run what is due, and time pass, until nothing is left."""
    for _ in range(100):
        claimed = await stage.claim(100, worker="new")
        claimed += await stage.claim(worker="new-solo", alone=True)
        assert all([await stage.succeed(attempt) for attempt in claimed])
        if not claimed:
            stage.clock.advance(600)
        states = (await stage.ledger.counts()).states
        if not any(states.get(one) for one in (State.QUEUED, State.RUNNING, State.RETRYING)):
            return
    raise AssertionError("some tasks never end")
