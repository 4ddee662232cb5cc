"""From a URL to connections, and what may be said of them: never a password."""

from __future__ import annotations

import asyncio
import os
import re
import select
import socket
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import Transformer
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import Diagnostic

from unlost.ledger.postgres.connection.arrays import know_arrays
from unlost.ledger.postgres.connection.pipeline import PREPARE_AFTER, Kept, Pipeline
from unlost.settings import WrongSetting

DEFAULTS: Final[dict[str, str]] = {
    "connect_timeout": "5",
    "application_name": "unlost",
    # A network that swallows everything is noticed in some ten seconds.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

ALWAYS: Final[dict[str, str]] = {"client_encoding": "UTF8"}
"""A role's default would keep texts from being sent at all."""

PORTS: Final = re.compile(r"[0-9,]*")
HOSTS: Final = re.compile(r"[\w.:,/%-]*")


class Connection(AsyncConnection[tuple[Any, ...]]):
    """A connection, with the warnings that came on it since somebody cleared them."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.warnings: list[str] = []
        self.add_notice_handler(partial(_keep_warning, self.warnings))
        know_arrays(self.adapters)
        self._transformer = Transformer(self)
        self._kept = Kept()

    def statements(self) -> Pipeline:
        """For the statements of a transaction that is to be begun, or goes on to its end."""
        kept = None if self.prepare_threshold is None else self._kept
        return Pipeline(self.pgconn, self._transformer, kept)

    async def notified(self, hear: Callable[[str, str], None]) -> None:
        """Pass on each notification's channel and payload at once, to the connection's end.

        The driver's own way sets a timer and two futures for each.  Raises psycopg.Error.
        """
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        number = self.pgconn.socket
        faults: list[psycopg.Error] = []

        def read() -> None:
            try:
                self.pgconn.consume_input()
            except psycopg.Error as fault:
                loop.remove_reader(number)  # at once: it is closed, and free for others
                faults.append(fault)
                ended.set()
            while (come := self.pgconn.notifies()) is not None:
                hear(come.relname.decode(), come.extra.decode())

        loop.add_reader(number, read)
        try:
            await ended.wait()
        finally:
            if not faults:
                loop.remove_reader(number)
        raise faults[0]

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement.  Raises psycopg.Error."""
        cursor = await self.execute(sql)
        return await cursor.fetchall()


def _keep_warning(warnings: list[str], notice: Diagnostic) -> None:
    if notice.severity_nonlocalized == "WARNING":
        warnings.append(notice.message_primary or "a warning without words")


class Place:
    """A database, and how to reach it.  As text it is what messages may say of it.

    Raises WrongSetting for a URL that names none.
    """

    def __init__(self, url: str) -> None:
        given = _parts(url)
        several = "," in given.get("host", "")  # of which one is the primary
        chosen = {"target_session_attrs": "read-write"} if several else {}
        self.conninfo = make_conninfo(**(DEFAULTS | chosen | given | ALWAYS))
        self._shown = _shown(given)

    def __str__(self) -> str:
        return self._shown

    async def connect(self) -> Connection:
        """A new connection, outside transactions.  Raises psycopg.Error."""
        try:
            db = await Connection.connect(
                self.conninfo, autocommit=True, prepare_threshold=PREPARE_AFTER
            )
        except UnicodeError:  # a host's name that cannot be one
            raise psycopg.OperationalError("the host's name cannot be resolved") from None
        await _mind_poolers(db)
        _keep_from_forks(db)
        return db


def _parts(url: str) -> dict[str, str]:
    """What a URL says.  Nothing of a wrong one is repeated: it may be a piece of the password."""
    try:
        parts = conninfo_to_dict(url)
        given = {name: str(value) for name, value in parts.items() if value is not None}
    except (psycopg.Error, UnicodeError):
        given = {"port": "none"}
    fine = PORTS.fullmatch(given.get("port", "")) and HOSTS.fullmatch(given.get("host", ""))
    if not fine:
        raise WrongSetting(
            "that is no PostgreSQL URL; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            " (with %40 for an @ in the password, and so on)"
        )
    return given


def _shown(parts: dict[str, str]) -> str:
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    port = f":{parts['port']}" if "port" in parts else ""
    return f"postgresql://{host}{port}/{parts.get('dbname', '')}"


async def _mind_poolers(db: Connection) -> None:
    """Behind a pooler the server's process is another at any time, and keeps no plans for us."""
    cursor = await db.execute("SELECT pg_backend_pid()")
    row = await cursor.fetchone()
    if row is not None and row[0] != db.info.backend_pid:
        db.prepare_threshold = None


def cut(db: Connection) -> None:
    """End a connection at once, from outside: who waits on it gets an error."""
    try:
        with socket.socket(fileno=os.dup(db.fileno())) as copy:
            copy.shutdown(socket.SHUT_RDWR)
    except (psycopg.Error, OSError):  # it is closed already
        pass


def is_stale(db: Connection) -> bool:
    """Whether something has come on a connection that nobody uses: mostly its end."""
    if db.closed or db.broken:
        return True
    try:
        come = select.poll()
        come.register(db.fileno(), select.POLLIN)
        return bool(come.poll(0))
    except (psycopg.Error, OSError):
        return True


async def close(db: Connection) -> None:
    """Give a connection back to the server; never raises."""
    try:
        async with asyncio.timeout(1):
            await db.close()
    except (psycopg.Error, OSError, TimeoutError):
        cut(db)


_ours: weakref.WeakSet[Connection] = weakref.WeakSet()


def _keep_from_forks(db: Connection) -> None:
    """A handler may fork; its child must not speak through what it inherited."""
    if not _guarded:
        os.register_at_fork(after_in_child=_disconnect)
        _guarded.append(True)
    _ours.add(db)


_guarded: list[bool] = []


def _disconnect() -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for db in list(_ours):
        try:
            os.dup2(null, db.fileno(), inheritable=False)
        except (psycopg.Error, OSError):
            continue
    os.close(null)
