"""SQLAlchemy over the connection of a handler's transaction, as the docs show it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, StaticPool, create_engine, exc, text
from sqlalchemy.orm import Session

from tests.postgres.databases import Database
from tests.transactions.stage import service
from unlost import Task
from unlost.task import State

INSERT = text("INSERT INTO public.charge VALUES (:task, :attempt)")


def connected(task: Task, **options: Any) -> Connection:
    connection = task.transaction()
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connection,
        poolclass=StaticPool,
        pool_reset_on_return=None,
        **options,
    )
    return engine.connect()


def charge(task: Task) -> None:
    joined = connected(task, _initialize=False)
    joined.begin()  # never ended by the handler
    with Session(joined, join_transaction_mode="create_savepoint") as session:
        session.execute(INSERT, {"task": task.id, "attempt": 1})
        session.commit()
        session.execute(INSERT, {"task": task.id, "attempt": 2})
        session.rollback()
        with session.begin():
            session.execute(INSERT, {"task": task.id, "attempt": 3})
    if task.type == "fails":
        raise ValueError("no")
    if task.type == "commits":
        joined.commit()


async def test_a_sessions_commits_are_savepoints_of_the_attempt(database: Database) -> None:
    async with service(database, charge, max_retries=0) as play:
        assert (await play.run("good")).state is State.SUCCEEDED
        assert (await play.run("bad", type="fails")).state is State.DEAD
        commits = await play.run("commits", type="commits")
        assert commits.error is not None
        assert commits.error.type == "sqlalchemy.exc.ProgrammingError"
        assert play.charges("good") == [1, 3]
        assert play.charges("bad") == play.charges("commits") == []


async def test_an_engines_own_first_look_is_refused(database: Database) -> None:
    def handler(task: Task) -> None:
        with pytest.raises(exc.ProgrammingError, match="rollback is not the handler's"):
            connected(task)

    async with service(database, handler, max_retries=0) as play:
        assert (await play.run("t")).state is State.DEAD  # SQLAlchemy has closed the connection
