"""The Procfile, run for real with what Heroku sets, and ended as Heroku ends dynos."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.deploy.formation import CONFIGURED, KEY, formation, release
from tests.postgres.databases import Database


async def test_port_and_database_url_are_enough_and_sigterm_loses_nothing(
    tmp_path: Path, database: Database, database_url: str
) -> None:
    names = [f"t{number}" for number in range(40)]  # more than a worker runs at once
    for _ in range(2):
        made = release(DATABASE_URL=database_url, UNLOST_FIRST_KEY=CONFIGURED)
        assert made.returncode == 0, made.stderr
        assert KEY not in made.stdout + made.stderr
    with formation(tmp_path, DATABASE_URL=database_url) as running:
        assert running.http.get("/tasks", headers={"Authorization": ""}).status_code == 401
        assert f"unlost is listening on http://0.0.0.0:{running.port}" in running.output()
        running.submit("first", outcome="succeed")
        assert running.task("first", wait=20)["state"] == "succeeded"
        assert not any("worker" in one.cmdline() for one in running.dyno("api"))
        for name in names:
            running.submit(name, outcome="succeed", seconds=1.5)
        running.until(lambda: running.task(names[0])["attemptCount"] > 0)
        processes = [*running.dyno("api"), *running.dyno("worker")]
        running.honcho.send_signal(signal.SIGTERM)
        took = running.ended()
        assert not [one for one in processes if one.is_running()]
    assert took < 10
    assert "SIGKILL" not in running.output()
    ledger = await database.ledger()
    try:
        records = [await ledger.get(name) for name in names]
        states = [(one.state.value, one.attempt_count) for one in records if one is not None]
        assert len(states) == len(names)
        assert ("succeeded", 1) in states  # what ran was finished
        assert set(states) <= {("succeeded", 1), ("queued", 0)}
    finally:
        await ledger.close()


async def test_sigterm_to_every_process_of_a_dyno_releases_what_does_not_end(
    tmp_path: Path, database: Database, database_url: str
) -> None:
    given = {"DATABASE_URL": database_url, "UNLOST_GRACE": "3", "UNLOST_HOST": "127.0.0.1"}
    with formation(tmp_path, **given) as running:
        running.submit("endless", outcome="hang")
        running.until(lambda: running.task("endless")["state"] == "running")
        for process in running.dyno("worker"):
            process.send_signal(signal.SIGTERM)
        took = running.ended()  # honcho ends the others with it
    assert took < 10
    assert "SIGKILL" not in running.output()
    ledger = await database.ledger()
    try:
        record = await ledger.get("endless")
        assert record is not None
        assert (record.state.value, record.attempt_count) == ("queued", 0)
        assert [one.outcome for one in record.attempts] == ["released"]
    finally:
        await ledger.close()


def test_a_release_without_a_first_key_makes_none(database_url: str) -> None:
    assert release(DATABASE_URL=database_url).returncode == 0
    assert release(DATABASE_URL=database_url, UNLOST_FIRST_KEY="short").returncode != 0
    asked = [sys.executable, "-m", "unlost", "key", "list", "--json", "--ledger", database_url]
    listed = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert listed.stdout == '{"keys":[]}\n'


def test_pgsslmode_keeps_unlost_from_talking_in_the_clear(database_url: str) -> None:
    """The server here knows no TLS."""
    asked = [sys.executable, "-m", "unlost", "audit", "--ledger", database_url]
    answer = subprocess.run(
        asked, env={"PGSSLMODE": "require"}, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "SSL" in answer.stderr
