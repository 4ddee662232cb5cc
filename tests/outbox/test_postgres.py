"""What only PostgreSQL can do: wake a relay; and that a relay holds nothing while it submits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event, Timer

import pytest

from tests.outbox.places import Place, Service, in_postgres, relay
from tests.postgres.databases import Database
from tests.postgres.server import Server


@pytest.fixture
def woken(postgres: Server) -> Iterator[Place]:
    with Database(postgres) as database, in_postgres(database.url, notify=True) as place:
        yield place


def test_a_trigger_wakes_a_relay_that_waits(woken: Place) -> None:
    woken.outbox.create(notify=True)  # again
    assert woken.outbox.take() == []
    late = Timer(0.2, woken.put, ["{}"])
    late.start()
    began = time.monotonic()
    woken.outbox.wait(30, Event())
    late.join()
    assert time.monotonic() - began < 15
    assert len(woken.outbox.take()) == 1


def test_nothing_is_locked_and_no_transaction_open_while_rows_are_submitted(
    woken: Place, service: Service
) -> None:
    woken.put("{}")
    seen: list[str] = []

    def look(lines: bytes) -> tuple[int, bytes]:
        service.down = None
        sql = "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
        seen.extend(state for (state,) in woken.run(f"{sql} AND pid <> pg_backend_pid()"))
        woken.run("SELECT 1 FROM unlost_outbox FOR UPDATE NOWAIT")
        return service.post(lines)

    service.down = look
    relay(woken, service).step()
    assert seen == ["idle"]
    assert woken.left() == 0
