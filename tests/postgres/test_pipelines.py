"""Statements travel together: one round trip a step, planned once, whatever their number."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from tests.conformance.stage import LEASE, Stage, ended, submission
from tests.postgres.databases import Database
from unlost.ledger.postgres.connection.connecting import Connection, Place
from unlost.ledger.postgres.connection.pipeline import MOST_PREPARED, PREPARE_AFTER, Pipeline
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.hints.telling import APART
from unlost.ledger.values import Claim, Worker
from unlost.policy import Limits
from unlost.task import Event, Outcome

LARGE = 2_000_000
PATIENCE = 20.0

PLANS = "SELECT statement, custom_plans FROM pg_prepared_statements"

T = TypeVar("T")


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    db = await Place(database.url).connect()
    yield db
    await db.close()


async def told(db: Connection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement in a pipeline of its own."""
    statements = db.statements()
    answer = statements.send(sql, values)
    await statements.exchange(last=True)
    return answer.rows


class Exchanges:
    """Counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        exchange = Pipeline.exchange

        async def counted(statements: Pipeline, *, last: bool) -> None:
            self.count += not statements._ended
            await exchange(statements, last=last)

        monkeypatch.setattr(Pipeline, "exchange", counted)

    async def of(self, step: Awaitable[T]) -> tuple[T, int]:
        """What comes of a step, and how many it took."""
        self.count = 0
        return await step, self.count


async def test_a_submit_a_claim_and_a_settlement_are_one_round_trip_each(
    alone: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alone.ledger.enlist(Worker("w"), LEASE)
    exchanges = Exchanges(monkeypatch)
    _, submit = await exchanges.of(alone.ledger.submit([submission("a"), submission("b")]))
    wanted = Claim("w", ["1", "2"], None, Limits(2, 60.0))
    claimed, claim = await exchanges.of(alone.ledger.claim(wanted))
    done = [ended(one, Outcome.SUCCEEDED, Event.SUCCEED) for one in claimed]
    _, settle = await exchanges.of(alone.ledger.settle(done))
    _, due = await exchanges.of(alone.ledger.due_in(None))
    assert (submit, claim, settle, due) == (1, 1, 1, 1)


async def test_a_claim_tells_what_comes_next_unless_it_leaves_something_or_something_is_set(
    alone: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alone.ledger.enlist(Worker("w"), LEASE)
    await alone.submit("a", "b")
    await alone.submit("later", delay=20)
    exchanges = Exchanges(monkeypatch)

    async def looks(most: int) -> int:
        claim = Claim("w", alone.tokens(most), None, Limits(2, 60.0))
        await alone.ledger.claim(claim)
        return (await exchanges.of(alone.ledger.due_in(None, after=claim)))[1]

    assert [await looks(most) for most in (1, 2, 2)] == [1, 0, 0]
    await alone.ledger.pause("mail", "somebody", None)
    assert await looks(1) > 0


async def test_a_hint_travels_with_the_submit_that_it_is_about(
    alone: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await alone.another()
    await other.wait(PATIENCE)  # it listens from here on
    await alone.ledger.ping()  # and this one knows of it
    hearing = asyncio.create_task(other.wait(PATIENCE))
    exchanges = Exchanges(monkeypatch)
    _, count = await exchanges.of(alone.submit("a"))
    assert await hearing == frozenset({"default"})
    await alone.reopen()  # all is told by then
    assert (count, exchanges.count) == (1, 1)


async def test_no_hint_travels_where_nobody_hears_or_it_is_not_time_yet(
    alone: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    send_behind = Pipeline.send_behind

    def sending(statements: Pipeline, sql: str, values: Any) -> None:
        sent.extend(values)
        send_behind(statements, sql, values)

    monkeypatch.setattr(Pipeline, "send_behind", sending)
    await alone.submit("for nobody")
    await (await alone.another()).wait(PATIENCE)
    await alone.submit("before it is known that somebody hears")
    await asyncio.sleep(2 * APART)
    await alone.submit("later", delay=20)
    assert sent == []
    await alone.submit("now")
    assert len(sent) == 1


async def test_what_is_done_often_is_planned_once_and_not_each_time(database: Database) -> None:
    seen: list[tuple[Any, ...]] = []

    async def plans(transaction: Transaction) -> None:
        seen.extend(await transaction.rows(PLANS))

    ledger = await database.ledger()
    await ledger.enlist(Worker("w"), LEASE)
    for number in range(3 * PREPARE_AFTER):
        await ledger.submit([submission(f"t{number}")])
        wanted = Claim("w", [f"{number}"], {"default": Limits(2, 60.0)}, Limits(2, 60.0))
        [claimed] = await ledger.claim(wanted)
        await ledger.settle([ended(claimed, Outcome.SUCCEEDED, Event.SUCCEED)])
        await ledger.due_in(["default"])
    await ledger._store.look(plans)
    await ledger.close()
    assert sum("unlost." in sql for sql, _ in seen) >= 6
    again = [sql for sql, custom in seen if custom and "set_config" not in sql]  # which says so
    assert again == []


async def test_a_server_keeps_the_plans_of_what_came_last(connection: Connection) -> None:
    many = MOST_PREPARED + 50
    for number in range(many):
        for _ in range(PREPARE_AFTER + 2):
            assert await told(connection, f"SELECT {number} + %s::integer", 1) == [(number + 1,)]
    kept = [sql for sql, _ in await told(connection, PLANS) if "::integer" in sql]
    assert len(kept) <= MOST_PREPARED
    assert f"SELECT {many - 1} + $1::integer" in kept
    assert "SELECT 0 + $1::integer" not in kept
    assert await told(connection, "SELECT 0 + %s::integer", 1) == [(1,)]


async def test_much_is_sent_while_much_comes_back(connection: Connection) -> None:
    statements = connection.statements()
    answers = [statements.send("SELECT %s::text", ["x" * LARGE]) for _ in range(4)]
    await statements.exchange(last=True)
    assert [len(answer.rows[0][0]) for answer in answers] == [LARGE] * 4


async def test_the_first_error_is_told_and_nothing_after_it_was_done(
    connection: Connection,
) -> None:
    statements = connection.statements()
    for sql in ("BEGIN", "SELECT 1 / 0", "SELECT no_such_column", "COMMIT"):
        statements.send(sql)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await statements.exchange(last=True)


async def test_what_fails_behind_a_commit_fails_alone(
    connection: Connection, database: Database
) -> None:
    statements = connection.statements()
    for sql in ("BEGIN", "CREATE TABLE kept (one integer)", "COMMIT"):
        statements.send(sql)
    statements.send_behind("SELECT 1 / %s::integer", [0])
    await statements.exchange(last=True)
    assert connection.info.transaction_status is TransactionStatus.UNKNOWN  # and so not lent again
    with database.connect() as other:
        other.execute("DROP TABLE kept")


async def test_what_fails_before_a_commit_is_an_error_whatever_is_behind_it(
    connection: Connection,
) -> None:
    statements = connection.statements()
    for sql in ("BEGIN", "SELECT 1 / 0", "COMMIT"):
        statements.send(sql)
    statements.send_behind("SELECT 1")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await statements.exchange(last=True)


async def test_a_connection_that_ends_is_an_error(
    connection: Connection, database: Database
) -> None:
    with database.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        await told(connection, "SELECT pg_sleep(%s)", 5)


async def test_the_end_of_a_connection_that_listens_is_no_end_of_the_one_that_gets_its_number(
    connection: Connection, database: Database
) -> None:
    number, come = connection.pgconn.socket, asyncio.Event()
    ours, theirs = socket.socketpair()
    listening = asyncio.create_task(connection.notified(lambda *_: None))
    await asyncio.sleep(0)
    with ours, theirs, database.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        while _is_open(number):  # noqa: ASYNC110  it is about single steps of the loop
            await asyncio.sleep(0)
        os.dup2(ours.fileno(), number)
        asyncio.get_running_loop().add_reader(number, come.set)
        with pytest.raises(psycopg.OperationalError):
            await listening
        theirs.send(b"for who has the number now")
        try:
            await asyncio.wait_for(come.wait(), 10)
        finally:
            asyncio.get_running_loop().remove_reader(number)
            os.close(number)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


async def test_percent_signs_and_parameters_are_put_where_they_belong(
    connection: Connection,
) -> None:
    statements = connection.statements()
    sql = "SELECT %(a)s || '%%' || %(b)s || %(a)s"
    named = statements.send(sql, {"b": "2", "a": "1", "c": "not asked for"})
    plain = statements.send("SELECT '100 %'")
    await statements.exchange(last=True)
    assert (named.rows, plain.rows) == ([("1%21",)], [("100 %",)])
