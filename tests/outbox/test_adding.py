"""`unlost.outbox.add` with real connections of each library, in their own transactions."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
import django.conf
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

import unlost
from tests.outbox.places import Place, Service, drain, in_sqlite, relay


class Rolled(Exception):
    """Ends a transaction in vain."""


@contextmanager
def by_driver(place: Place) -> Iterator[Any]:
    db = place.connect()
    try:
        with db:
            yield db
    finally:
        db.close()


@contextmanager
def by_sqlalchemy(place: Place) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(place.url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def by_session(place: Place) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(place.url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with Session(engine) as session, session.begin():
            yield session
    finally:
        engine.dispose()


@contextmanager
def by_django(place: Place) -> Iterator[Any]:
    from django.db.utils import ConnectionHandler

    if not django.conf.settings.configured:
        django.conf.settings.configure(USE_TZ=True, LOGGING_CONFIG=None)
        django.setup()
    if place.is_postgres:
        parts = psycopg.conninfo.conninfo_to_dict(place.url)
        told = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST"}
        given = {word: parts[name] for name, word in told.items()} | {"PORT": parts["port"]}
        given["ENGINE"] = "django.db.backends.postgresql"
    else:
        name = place.url.removeprefix("sqlite:///")
        given = {"ENGINE": "django.db.backends.sqlite3", "NAME": name}
    connection = ConnectionHandler({"default": given})["default"]
    connection.set_autocommit(False)
    try:
        yield connection
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.close()


LIBRARIES = {
    "driver": by_driver,
    "SQLAlchemy": by_sqlalchemy,
    "SQLAlchemy's Session": by_session,
    "Django": by_django,
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_task_exists_if_and_only_if_the_transaction_committed(
    place: Place, service: Service, library: str
) -> None:
    opened = LIBRARIES[library]
    with opened(place) as connection:
        named = unlost.outbox.add(connection, {"n": "é"}, type="mail", max_retries=9, key="k")
        assert unlost.outbox.add(connection, {"n": 2}, "mine", priority=None) == "mine"
        assert place.left() == 0  # nothing is committed yet

    def rolled_back() -> None:
        with opened(place) as connection:
            unlost.outbox.add(connection, {"n": 3}, "never")
            raise Rolled

    with pytest.raises(Rolled):
        rolled_back()
    drain(relay(place, service))
    tasks = service.tasks()
    assert tasks.keys() == {named, "mine"}
    assert named.startswith("outbox:")
    task = tasks[named]
    assert (task["payload"], task["type"], task["maxRetries"], task["key"]) == (
        {"n": "é"}, "mail", 9, "k",
    )  # fmt: skip
    assert place.rejected() == {}


def test_options_are_those_of_a_submit_and_a_time_knows_its_zone(place: Place) -> None:
    with by_driver(place) as db:
        unlost.outbox.add(db, {}, run_at=datetime(2030, 1, 2, tzinfo=UTC), timeout_seconds=2.5)
        unlost.outbox.add(db, {}, delay_seconds=3, callback_url="https://example.com/")
        with pytest.raises(ValueError, match="time zone"):
            unlost.outbox.add(db, {}, run_at=datetime(2030, 1, 2))  # noqa: DTZ001
    options = [json.loads(one) for (one,) in place.run("SELECT options FROM unlost_outbox")]
    assert sorted(options, key=str) == [
        {"delaySeconds": 3, "callbackUrl": "https://example.com/"},
        {"runAt": "2030-01-02T00:00:00+00:00", "timeoutSeconds": 2.5},
    ]


@pytest.mark.parametrize(
    ("payload", "more"),
    [
        ([1], {}),
        ({"a": {1, 2}}, {}),
        ({"a": float("nan")}, {}),
        ({"a": "x" * 300_000}, {}),
        ({}, {"colour": 1}),
        ({}, {"task_id": ""}),
        ({}, {"task_id": "x" * 256}),
        ({}, {"type": 5}),
        ({}, {"type": ""}),
        ({}, {"task_id": ".."}),
        ({}, {"task_id": "a\nb"}),
        ({}, {"priority": 1000}),
        ({}, {"delay_seconds": 1, "run_at": "2030-01-02T00:00:00Z"}),
    ],
)
def test_what_can_be_no_task_is_refused_at_once(
    place: Place, payload: Any, more: dict[str, Any]
) -> None:
    with by_driver(place) as db, pytest.raises(ValueError, match=r"."):
        unlost.outbox.add(db, payload, **more)
    assert place.left() == 0


def test_what_is_no_connection_is_told_so(place: Place) -> None:
    with by_driver(place) as db:
        for other in (object(), None, db.cursor(), "sqlite:///app.db"):
            with pytest.raises(TypeError, match="no connection of"):
                unlost.outbox.add(other, {})
    strange = sqlalchemy.create_mock_engine("mysql://", lambda *_: None)
    with pytest.raises(TypeError):
        unlost.outbox.add(strange, {})


def test_adding_imports_no_library_but_the_callers() -> None:
    script = """
import sqlite3, sys, unlost
db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE unlost_outbox (id, task_id, type, payload, options)")
unlost.outbox.add(db, {})
heavy = {"psycopg", "sqlalchemy", "django", "apsw", "httpx", "starlette"} & sys.modules.keys()
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_subclass_of_a_connection_is_one(tmp_path: Path) -> None:
    class Own(sqlite3.Connection):
        pass

    with in_sqlite(tmp_path) as place:
        db = sqlite3.connect(place.url.removeprefix("sqlite:///"), factory=Own)
        with db:
            unlost.outbox.add(db, {})
        db.close()
        assert place.left() == 1
