"""What `unlost doctor` tells of an outbox."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from unlost.cli.commands.doctor.finding import Health
from unlost.cli.commands.doctor.outboxes import outbox
from unlost.outbox.opening import open_outbox
from unlost.outbox.rows import Answer
from unlost.outbox.store import Settled


def test_it_tells_of_rejected_and_of_old_rows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    assert outbox(url).health is Health.FAIL
    opened = open_outbox(url)
    opened.create()
    assert outbox(url).health is Health.OK
    with sqlite3.connect(tmp_path / "app.db") as db:
        db.execute("INSERT INTO unlost_outbox (payload) VALUES ('{}')")
    db.close()
    assert outbox(url).detail == "1 row waits"
    [row] = opened.take()
    opened.settle(Settled(rejected=[(row.id, Answer(422, "no"))]))
    opened.close()
    found = outbox(url)
    assert found.health is Health.NOTE
    assert "1 row was rejected" in found.detail
    with sqlite3.connect(tmp_path / "app.db") as db:
        db.execute(
            "INSERT INTO unlost_outbox (payload, created_at)"
            " VALUES ('{}', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-5 minutes'))"
        )
    db.close()
    assert "the oldest row has waited for 30" in outbox(url).detail
