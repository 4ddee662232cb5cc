"""`unlost outbox …`, against a real service."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.conftest import Command, http_to
from tests.cli.running import running
from tests.outbox.places import Place

SECRET = "payload-that-nobody-logs"


@pytest.fixture
def unlost(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command, which is told of an outbox."""
    folder = tmp_path_factory.mktemp("command")
    return Command(folder, {"UNLOST_URL": "http://127.0.0.1:9", "UNLOST_OUTBOX": place.url})


@contextmanager
def started(unlost: Command, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until SIGTERM, and ends in order then."""
    process = unlost.start(*words)
    try:
        assert process.stderr is not None
        assert b"relays the outbox" in process.stderr.readline()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def until_empty(place: Place) -> None:
    end = time.monotonic() + 20
    while place.left():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_outbox_is_made_relayed_looked_at_and_brought_back(
    unlost: Command, place: Place
) -> None:
    assert unlost("outbox", "create").status == 0
    with running() as service, http_to(service.url) as http:
        good = place.put(json.dumps({"secret": SECRET}))
        bad = place.put(f'["{SECRET}"]')
        with started(unlost, "outbox", "relay", "--url", service.url) as process:
            until_empty(place)
        assert process.stdout is not None
        assert http.task(f"outbox:{good}")["payload"] == {"secret": SECRET}
        seen = json.loads(unlost("outbox", "status", "--json").out)
        assert seen["rows"] == {"waiting": 0, "delayed": 0, "rejected": 1}
        assert seen["rejected"][0]["id"] == bad
        assert "payload" in seen["rejected"][0]["reason"]
        shown = unlost("outbox", "status").out
        assert "rejected  1" in shown
        assert bad in shown
        missing = unlost("outbox", "retry", bad.replace(bad[:4], "0000"))
        assert missing.status == 1
        assert "no rejected row" in missing.err
        assert json.loads(unlost("outbox", "retry", bad, "--json").out) == {"retried": 1}
        assert place.left() == 1


def test_what_is_not_relayed_is_told_in_status_and_log_without_payloads(
    unlost: Command, place: Place
) -> None:
    place.put(json.dumps({"secret": SECRET}))
    process = unlost.start("outbox", "relay")
    end = time.monotonic() + 20
    while place.outbox.status().delayed == 0:
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    [line] = [json.loads(one) for one in out.splitlines() if b"outbox.waiting" in one]
    assert (line["status"], line["rows"]) == (0, 1)
    assert "no service at http://127.0.0.1:9" in line["why"]
    assert SECRET.encode() not in out
    shown = unlost("outbox", "status").out
    assert "1 row: no service at http://127.0.0.1:9" in shown


def test_a_relay_may_work_on_a_ledger_itself(unlost: Command, place: Place) -> None:
    made = unlost("key", "create", "--ledger", "sqlite:///own.db", "--scope", "read", "--name", "k",
                  "--secret-file", "key")  # fmt: skip
    assert made.status != 0  # there is no such file
    (unlost.folder / "key").write_text("unlost_" + "k" * 43)
    unlost("key", "create", "--ledger", "sqlite:///own.db", "--scope", "read", "--name", "k",
           "--secret-file", "key")  # fmt: skip
    place.put("{}", task_id="direct", options='{"callbackUrl": "https://example.com/"}')
    webhooks = {"UNLOST_WEBHOOK_SECRET": "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}
    told = Command(unlost.folder, {**unlost.variables, **webhooks})
    with started(told, "outbox", "relay", "--ledger", "sqlite:///own.db"):
        until_empty(place)
    assert place.rejected() == {}
    found = unlost("task", "direct", "--ledger", "sqlite:///own.db", "--json")
    assert json.loads(found.out)["state"] == "queued"


@pytest.mark.parametrize(
    "words",
    [
        ("create", "--database", "mysql://x"),
        ("status", "--database", "app.db"),
        ("status", "--database", "sqlite://app.db"),
        ("relay", "--database", "postgresql://u:s3cr3t@h:x/d"),
        ("create", "--database", "sqlite:///a.db", "--notify"),
        ("relay", "--url", "nonsense"),
    ],
)
def test_wrong_usage_is_one_line_without_passwords(unlost: Command, words: tuple[str, ...]) -> None:
    result = unlost("outbox", *words)
    assert result.status == 2
    assert "s3cr3t" not in result.complaint


def test_a_database_without_an_outbox_says_what_makes_one(unlost: Command) -> None:
    (unlost.folder / "other.db").touch()
    for command in ("relay", "status", "retry"):
        result = unlost("outbox", command, "--database", "sqlite:///other.db")
        assert result.status == 1
        assert "unlost outbox create" in result.complaint
        missing = unlost("outbox", "status", "--database", "sqlite:///none.db")
        assert missing.status == 1
        assert not (unlost.folder / "none.db").exists()
    assert unlost("outbox", "create", "--database", "sqlite:///made.db").status == 0
    with sqlite3.connect(unlost.folder / "made.db") as db:
        db.execute("INSERT INTO unlost_outbox (payload) VALUES ('{}')")
    db.close()
