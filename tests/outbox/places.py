"""Outboxes for tests, in both kinds of database, and a service to relay to."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import httpx
import psycopg

from unlost.api.app import create_app
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.outbox.opening import open_outbox
from unlost.outbox.relay import NotAnswered, Relay
from unlost.outbox.store import Outbox
from unlost.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """A database with an outbox; `connect` gives a connection of an application's own."""

    url: str
    outbox: Outbox
    connect: Callable[[], Any]

    @property
    def is_postgres(self) -> bool:
        return self.url.startswith("postgresql:")

    def run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """A statement of the application's, in a transaction of its own."""
        with self.connect() as db:
            found = db.execute(sql if self.is_postgres else sql.replace("%s", "?"), values)
            rows = found.fetchall() if found.description else []
        db.close()
        return list(rows)

    def put(self, payload: object, **columns: object) -> str:
        """A row as any language writes it; its id."""
        names = ", ".join(["payload", *columns])
        marks = ", ".join(["%s"] * (1 + len(columns)))
        sql = f"INSERT INTO unlost_outbox ({names}) VALUES ({marks}) RETURNING id"
        return str(self.run(sql, payload, *columns.values())[0][0])

    def left(self) -> int:
        return int(self.run("SELECT count(*) FROM unlost_outbox")[0][0])

    def rejected(self) -> dict[str, int]:
        rows = self.run("SELECT id, status FROM unlost_outbox_rejected")
        return {str(one): status for one, status in rows}


@contextmanager
def in_sqlite(folder: Path) -> Iterator[Place]:
    path = folder / "app.db"
    outbox = open_outbox(f"sqlite:///{path}")
    outbox.create()
    yield Place(f"sqlite:///{path}", outbox, lambda: sqlite3.connect(path))
    outbox.close()


@contextmanager
def in_postgres(url: str, *, notify: bool = False) -> Iterator[Place]:
    outbox = open_outbox(url)
    outbox.create(notify=notify)
    yield Place(url, outbox, lambda: psycopg.connect(url))
    outbox.close()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS unlost_outbox, unlost_outbox_rejected")


class Service:
    """The API over a ledger in memory, in a loop of its own; `down` may be set in its place."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.ledger = MemoryLedger(wall_clock)
        self.down: Callable[[bytes], tuple[int, bytes]] | None = None
        self.calls: list[int] = []
        self._client = self._do(self._made(settings or Settings()))

    async def _made(self, settings: Settings) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(create_app(self.ledger, settings))
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")

    def _do(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(30)

    def post(self, lines: bytes) -> tuple[int, bytes]:
        """What a relay calls."""
        self.calls.append(lines.count(b"\n") + 1)
        if self.down is not None:
            return self.down(lines)
        headers = {"content-type": "application/x-ndjson"}
        answer = self._do(self._client.post("/tasks/batch", content=lines, headers=headers))
        return answer.status_code, answer.content

    def tasks(self) -> dict[str, dict[str, Any]]:
        """All tasks, by their ids."""
        answer = self._do(self._client.get("/tasks?limit=1000&include=payload"))
        return {task["taskId"]: task for task in answer.json()["tasks"]}

    def close(self) -> None:
        self._do(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def refusing(lines: bytes) -> tuple[int, bytes]:
    """No service."""
    raise NotAnswered("no service there")


def relay(place: Place, service: Service, lease: float = 10.0) -> Relay:
    return Relay(place.outbox, service.post, Random(1), lease=lease)


def drain(one: Relay) -> None:
    """Relay until nothing is due."""
    while one.step():
        pass


def make_due(place: Place) -> None:
    """Let all rows that wait be due now."""
    past = "created_at - interval '1 day'" if place.is_postgres else "1"
    place.run(f"UPDATE unlost_outbox SET waits_until = {past} WHERE waits_until IS NOT NULL")
