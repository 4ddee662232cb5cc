"""Adding a task to an application's outbox, in the transaction that its connection is in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from unlost import jsontext
from unlost.asked import arguments
from unlost.asked.submission import OWN

_INTO: Final = "INSERT INTO unlost_outbox (id, task_id, type, payload, options) VALUES "


def add(
    connection: Any, payload: Mapping[str, object], task_id: str | None = None, **options: object
) -> str:
    """Add a task to the outbox; it is submitted once the connection's transaction has committed,
    and never if that is rolled back.  Returns the task's id, `outbox:{id}` where none is given.

    `connection` is one of psycopg, sqlite3 or SQLAlchemy (or its Session), or Django's.  Nothing
    is committed here.  `options` are the members of `POST /tasks` in snake_case: `type`,
    `priority`, `delay_seconds`, `run_at` (text, or a datetime that knows its zone), `max_retries`,
    `timeout_seconds`, `key`, `callback_url`; None leaves one out.

    Raises TypeError for another kind of connection, and ValueError for a payload that is no JSON
    object or too large, an id that no task can have, and an option that is unknown or out of its
    bounds.  What only the service knows, as where it may tell of ends, it checks itself: what it
    refuses moves to `unlost_outbox_rejected`.
    """
    row = uuid.uuid4()
    named = f"outbox:{row}" if task_id is None else task_id
    text, given = arguments.payload(payload), arguments.options(options)
    _check(named, text, given)
    task_type = given.pop("type", None)
    rest = jsontext.encode(given) if given else None
    _insert(connection, (str(row), task_id, task_type, text, rest))
    return named


def _check(task_id: object, payload: str, given: Mapping[str, object]) -> None:
    """Raises ValueError for what every service refuses.  Where it may tell of ends is its own."""
    known = {name: value for name, value in given.items() if name != "callbackUrl"}
    arguments.submission({"taskId": task_id, **known}, payload, OWN)


def _insert(connection: Any, values: tuple[object, ...]) -> None:
    """Put a row into the table, by whatever library the connection is of: told by the names of
    its classes' modules, so that none is imported."""
    library = _library(connection)
    if library == "sqlite3":
        connection.execute(f"{_INTO}(?, ?, ?, ?, ?)", values)
    elif library == "psycopg":
        connection.execute(f"{_INTO}(%s::uuid, %s, %s, %s, %s)", values)
    elif library == "django":
        first = "%s::uuid" if _kind(connection.vendor) == "postgresql" else "%s"
        with connection.cursor() as cursor:
            cursor.execute(f"{_INTO}({first}, %s, %s, %s, %s)", values)
    else:
        _insert_by_sqlalchemy(connection, values)


def _insert_by_sqlalchemy(connection: Any, values: tuple[object, ...]) -> None:
    from sqlalchemy import String, bindparam, text  # noqa: PLC0415  whoever calls has it

    dialect = connection.get_bind().dialect if hasattr(connection, "get_bind") else None
    first = ":id"
    if _kind((dialect or connection.dialect).name) == "postgresql":
        first = "CAST(:id AS uuid)"
    names = ("id", "task_id", "type", "payload", "options")
    statement = text(f"{_INTO}({first}, :task_id, :type, :payload, :options)").bindparams(
        *(bindparam(name, type_=String()) for name in names)
    )
    connection.execute(statement, dict(zip(names, values, strict=True)))


def _kind(name: str) -> str:
    if name not in ("postgresql", "sqlite"):
        raise TypeError(f"an outbox is in PostgreSQL or SQLite, not in {name}")
    return name


def _library(connection: object) -> str:
    kinds = type(connection).__mro__
    names = {(kind.__module__.partition(".")[0], kind.__name__) for kind in kinds}
    for library, name in names:
        if (library, name) in _KNOWN or library == "django":
            return library
    raise TypeError(
        "this is no connection of psycopg, sqlite3, SQLAlchemy or Django:"
        f" {type(connection).__module__}.{type(connection).__qualname__}"
    )


_KNOWN: Final = {
    ("sqlite3", "Connection"),
    ("psycopg", "Connection"),
    ("sqlalchemy", "Connection"),
    ("sqlalchemy", "Session"),
}
"""Libraries, and their classes that `execute` at once: an AsyncConnection only promises to."""
