"""What a handler does in its transaction is kept if, and only if, its attempt succeeded."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.postgres.databases import Database
from tests.transactions.stage import Service, service
from unlost import Handlers, Reject, Task, carried
from unlost.carried import Carried
from unlost.ledger.values import Query, Settled, Settlement
from unlost.task import WEBHOOK_TYPE, Event, Outcome, Record, State
from unlost.telemetry.measuring import Recorder

INSERT = "INSERT INTO public.charge VALUES (%s, %s)"


async def charge(task: Task) -> Any:
    connection = await task.transaction()
    await connection.execute(INSERT, [task.id, task.attempt])
    assert await task.transaction() is connection
    assert isinstance(connection, psycopg.AsyncConnection)
    return {"charged": True}


def charge_in_thread(task: Task) -> Any:
    connection = task.transaction()
    connection.execute(INSERT, [task.id, task.attempt])
    assert task.transaction() is connection
    assert isinstance(connection, psycopg.Connection)
    return {"charged": True}


def why(record: Record) -> str:
    """The type of the error that a task surely has."""
    assert record.error is not None
    return record.error.type


@pytest.mark.parametrize("handler", [charge, charge_in_thread])
async def test_rows_and_success_are_there_together(database: Database, handler: Any) -> None:
    recorder = Recorder()
    async with service(database, handler, recorder=recorder) as play:
        async with play.ledger.transitions() as changes:
            record = await play.run("t")
            async with asyncio.timeout(10):
                while "succeeded" not in [change.state for change in await anext(changes)]:
                    pass  # it is told of after the commit
        assert record.state is State.SUCCEEDED
        assert record.result == '{"charged":true}'
        assert play.charges("t") == [1]
    assert recorder.take().types["default"].outcomes == {"succeeded": 1}


@pytest.mark.parametrize("handler", [charge, charge_in_thread])
async def test_what_fails_leaves_nothing(database: Database, handler: Any) -> None:
    def fails_in_thread(task: Task) -> Any:
        charge_in_thread(task)
        raise Reject(task.payload["how"]) if "how" in task.payload else ValueError("no")

    async def fails(task: Task) -> Any:
        await charge(task)
        raise Reject(task.payload["how"]) if "how" in task.payload else ValueError("no")

    async with service(database, fails if handler is charge else fails_in_thread) as play:
        assert why(await play.run("raised")) == "ValueError"
        assert why(await play.run("rejected", payload='{"how":"so"}')) == "Reject"
        assert play.charges("raised") == play.charges("rejected") == []


async def test_a_refused_result_leaves_nothing(database: Database) -> None:
    async def returns_a_set(task: Task) -> Any:
        await charge(task)
        return {1, 2}

    async with service(database, returns_a_set) as play:
        record = await play.run("t")
        assert (why(record), record.attempt_count) == ("ResultNotJson", 1)
        assert play.charges("t") == []


@pytest.mark.parametrize("what", ["commit", "rollback", "set_autocommit", "with"])
async def test_the_handler_does_not_end_it(database: Database, what: str) -> None:
    async def handler(task: Task) -> None:
        connection = await task.transaction()
        await connection.execute(INSERT, [task.id, task.attempt])
        if what == "with":
            async with connection:
                pass
        else:
            await getattr(connection, what)(*([True] if what == "set_autocommit" else []))

    def in_thread(task: Task) -> None:
        connection = task.transaction()
        connection.execute(INSERT, [task.id, task.attempt])
        if what == "with":
            with connection:
                pass
        elif what == "set_autocommit":
            connection.autocommit = True
        else:
            getattr(connection, what)()

    for name, function in {"loop": handler, "thread": in_thread}.items():
        async with service(database, function, max_retries=0) as play:
            record = await play.run(name)
            assert why(record) == "psycopg.ProgrammingError"
            assert record.error is not None
            assert "is not the handler's" in record.error.message
            assert play.charges(name) == []


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "COMMIT; BEGIN"])
async def test_a_transaction_that_was_ended_by_sql_is_no_success(
    database: Database, sql: str
) -> None:
    async def handler(task: Task) -> None:
        connection = await task.transaction()
        await connection.execute(sql)
        await connection.execute(INSERT, [task.id, task.attempt])

    async with service(database, handler) as play:
        record = await play.run("t")
        assert (why(record), record.attempt_count) == ("TransactionEnded", 1)
        assert play.charges("t") == []


async def test_a_closed_connection_is_no_success(database: Database) -> None:
    async def handler(task: Task) -> None:
        connection = await task.transaction()
        await connection.execute(INSERT, [task.id, task.attempt])
        await connection.close()

    async with service(database, handler, max_retries=0) as play:
        assert why(await play.run("t")) == "psycopg.OperationalError"
        assert play.charges("t") == []


async def test_a_statement_that_failed_and_was_passed_over_is_no_success(
    database: Database,
) -> None:
    def handler(task: Task) -> None:
        connection = task.transaction()
        connection.execute(INSERT, [task.id, task.attempt])
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")

    def with_savepoint(task: Task) -> None:
        connection = task.transaction()
        connection.execute(INSERT, [task.id, task.attempt])
        with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
            connection.execute("SELECT 1 / 0")

    handlers = Handlers()
    handlers.task("broken")(handler)
    handlers.task("saved")(with_savepoint)
    async with service(database, handlers, max_retries=0) as play:
        assert why(await play.run("b", type="broken")) == "psycopg.errors.InFailedSqlTransaction"
        assert (await play.run("s", type="saved")).state is State.SUCCEEDED
        assert (play.charges("b"), play.charges("s")) == ([], [1])


DEFERRED = """
CREATE SCHEMA app;
CREATE TABLE app.owner (id integer PRIMARY KEY);
CREATE TABLE app.thing (owner integer REFERENCES app.owner DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE app.seen (path text);
CREATE FUNCTION app.see() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO seen VALUES (current_setting('search_path')); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER see AFTER INSERT ON app.owner DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION app.see()
"""


async def test_what_is_deferred_is_checked_before_with_the_handlers_settings(
    database: Database,
) -> None:
    async def handler(task: Task) -> None:
        connection = await task.transaction()
        await connection.execute("SET LOCAL search_path TO app")
        await connection.execute(INSERT, [task.id, task.attempt])
        await connection.execute("INSERT INTO thing VALUES (1)")
        if task.payload["owned"]:
            await connection.execute("INSERT INTO owner VALUES (1)")

    with database.connect() as db:
        db.execute(DEFERRED)
        try:
            async with service(database, handler, max_retries=0) as play:
                bad = await play.run("bad", payload='{"owned":false}')
                assert why(bad) == "psycopg.errors.ForeignKeyViolation"
                good = await play.run("good", payload='{"owned":true}')
                assert good.state is State.SUCCEEDED
                assert (play.charges("bad"), play.charges("good")) == ([], [1])
            assert db.execute("SELECT path FROM app.seen").fetchall() == [("app",)]
        finally:
            db.execute("DROP SCHEMA app CASCADE")


async def test_the_ledgers_settings_do_not_hold_in_it_nor_the_handlers_in_the_settlement(
    database: Database,
) -> None:
    seen: dict[str, str] = {}

    async def handler(task: Task) -> str:
        connection = await task.transaction()
        for name in ("enable_seqscan", "search_path", "lock_timeout", "statement_timeout"):
            [value] = await (await connection.execute(f"SHOW {name}")).fetchone()
            seen[name] = value
        await connection.execute(INSERT, [task.id, task.attempt])
        connection.row_factory = dict_row
        connection.adapters.register_loader("int8", psycopg.types.string.TextLoader)
        await connection.execute("SET search_path TO nowhere")
        await connection.execute("SET client_encoding TO latin1")
        await connection.execute("SET ROLE pg_read_all_data")
        return "Σ"

    async with service(database, handler) as play:
        record = await play.run("Σ")
        assert (record.state, record.result) == (State.SUCCEEDED, '"Σ"')
        assert play.charges("Σ") == [1]
    assert seen == {
        "enable_seqscan": "on", "search_path": '"$user", public', "lock_timeout": "0",
        "statement_timeout": "0",
    }  # fmt: skip


async def test_what_is_read_only_by_the_handlers_wish_fails_alone(database: Database) -> None:
    async def handler(task: Task) -> None:
        connection = await task.transaction()
        await connection.execute("SET TRANSACTION READ ONLY")

    async def serializable(task: Task) -> None:
        connection = await task.transaction()
        await connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")

    handlers = Handlers()
    handlers.task("read-only")(handler)
    handlers.task("serializable")(serializable)
    async with service(database, handlers, max_retries=0) as play:
        assert why(await play.run("r", type="read-only")) == "psycopg.errors.ReadOnlySqlTransaction"
        record = await play.run("s", type="serializable")
        assert why(record) == "psycopg.errors.ActiveSqlTransaction"


async def test_the_webhook_of_its_end_is_in_it(database: Database) -> None:
    async def handler(task: Task) -> None:
        await charge(task)
        if task.attempt == 1:
            raise ValueError("not yet")

    handlers = Handlers()
    handlers.task("default")(handler)
    secret = "whsec_" + "A" * 32
    async with service(database, handlers, webhook_secret=secret) as play:
        text = carried.write(Carried("https://example.com/hook"))
        await play.run("t", carried=text)
        page = await play.ledger.page(Query(type=WEBHOOK_TYPE))
        assert len(page.records) == 1
        assert play.charges("t") == [2]


async def test_its_follow_ups_are_in_it_and_a_conflict_of_one_leaves_nothing(
    database: Database,
) -> None:
    async def handler(task: Task) -> None:
        await charge(task)
        task.submit({"of": task.id}, "next", type="later")

    handlers = Handlers()
    handlers.task("default")(handler)
    secret = "whsec_" + "A" * 32
    async with service(database, handlers, webhook_secret=secret) as play:
        text = carried.write(Carried("https://example.com/hook"))
        assert (await play.run("t", carried=text)).state is State.SUCCEEDED
        following = await play.ledger.get("next")
        assert following is not None
        assert carried.read(following.carried).parent is not None
        record = await play.run("other", carried=text)
        assert (record.state, why(record)) == (State.DEAD, "FollowUpConflict")
        assert record.attempt_count == 1
        assert (play.charges("t"), play.charges("other")) == ([1], [])
        page = await play.ledger.page(Query(type=WEBHOOK_TYPE))
        assert len(page.records) == 2  # of each end one


async def test_a_step_and_a_transaction_are_not_open_together(database: Database) -> None:
    async def then_once(task: Task) -> str:
        await charge(task)
        with pytest.raises(RuntimeError, match="transaction open"):
            await task.once("a", lambda: 1)
        return "refused"

    async def within_once(task: Task) -> Any:
        async def begin() -> str:
            with pytest.raises(RuntimeError, match="while a step"):
                await task.transaction()
            return "refused"

        found = await task.once("b", begin)
        await charge(task)  # a step that is over is no hindrance
        return found

    handlers = Handlers()
    handlers.task("then")(then_once)
    handlers.task("within")(within_once)
    async with service(database, handlers) as play:
        assert (await play.run("t", type="then")).result == '"refused"'
        assert (await play.run("w", type="within")).result == '"refused"'
        assert (play.charges("t"), play.charges("w")) == ([1], [1])


def token_of(play: Service) -> str:
    """The token of the one attempt that runs."""
    with play.database.connect() as db:
        [[token]] = db.execute("SELECT token FROM unlost.open_task WHERE state = 'running'")
        return str(token)


@pytest.mark.parametrize("how", ["cancelled", "reaped"])
async def test_what_ended_elsewhere_before_the_return_leaves_nothing(
    database: Database, how: str
) -> None:
    returns = asyncio.Event()

    async def handler(task: Task) -> None:
        if task.attempt == 1:
            await charge(task)
            returned.set()
            await returns.wait()

    returned = asyncio.Event()
    recorder = Recorder()
    async with service(database, handler, recorder=recorder) as play:
        await play.submit("t")
        await returned.wait()
        if how == "cancelled":
            await play.ledger.cancel("t", None, None)
        else:
            done = Settlement("t", token_of(play), Outcome.TIMED_OUT, Event.RETRY)
            assert await play.ledger.settle([done]) == [Settled.HELD]
        returns.set()  # before the worker hears of that
        await asyncio.sleep(0)
        record = await play.ended("t")
        assert record.state is (State.CANCELLED if how == "cancelled" else State.SUCCEEDED)
        assert play.charges("t") == []
    counted = recorder.take().types.get("default")
    assert (counted.outcomes if counted else {}) == ({} if how == "cancelled" else {"succeeded": 1})
