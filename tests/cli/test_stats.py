"""`unlost stats` and `unlost audit`."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.cli.conftest import Command, Http, doomed, http_to, ndjson
from tests.cli.running import running
from tests.cli.scripted import Reply, scripted


def facts(text: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in text.splitlines() if "  " in line)


def line_with(process: subprocess.Popen[bytes], text: str, stream: str = "stdout") -> str:
    pipe = getattr(process, stream)
    while (line := pipe.readline().decode()) and text not in line:
        pass
    return str(line)


def test_the_counts_are_shown(client: Command, http: Http) -> None:
    http.process(doomed("a") + ndjson({"taskId": "b", "payload": {}}))
    shown = facts(client("stats").out)
    assert (shown["accepted"], shown["dead"], shown["succeeded"]) == ("2", "1", "1")
    assert (shown["outstanding"], shown["lost"]) == ("0", "0")
    assert json.loads(client("stats", "--json").out)["states"]["dead"] == 1


def test_watch_outlives_a_restart_of_the_service(unlost: Command) -> None:
    ledger = f"sqlite:///{unlost.folder / 'unlost.db'}"
    with running(ledger=ledger) as first:
        words = ("stats", "--watch", "--every", "0.1", "--url", first.url)
        process = unlost.start(*words)
        assert line_with(process, "accepted=0")
    assert "trying again" in line_with(process, "no service", "stderr")
    with running(first.port, ledger), process:
        with http_to(first.url) as http:
            http.process(doomed("a"))
        assert line_with(process, "accepted=1")
        process.terminate()


def test_watch_as_json_is_a_line_a_look(client: Command) -> None:
    with client.start("stats", "--watch", "--json", "--every", "0.1") as process:
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.terminate()
    assert all(look["accepted"] == 0 for look in looks)


def test_an_audit_that_finds_nothing_wrong_says_so(client: Command, http: Http) -> None:
    http.process(doomed("a") + ndjson({"taskId": "b", "payload": {}}))
    result = client("audit")
    assert result.status == 0
    assert facts(result.out)["accepted"] == "2"
    assert "every promise holds" in result.out
    assert json.loads(client("audit", "--json").out)["ok"] is True


def test_a_broken_promise_is_named_and_is_status_1(unlost: Command) -> None:
    audit = {
        "ok": False,
        "accepted": 2,
        "outstanding": 0,
        "lost": 1,
        "states": {"succeeded": 1},
        "violations": [{"taskId": None, "promise": "nothing is lost", "detail": "one is gone"}],
    }
    reply = Reply(200, json.dumps(audit).encode())
    with scripted(reply, reply) as script:
        result = unlost("audit", "--url", script.url)
        assert unlost("audit", "--json", "--url", script.url).status == 1
    assert result.status == 1
    assert "nothing is lost" in result.out
    assert "one is gone" in result.out
    assert result.complaint == "unlost: a promise is broken"


def test_an_audit_of_a_missing_ledger_makes_none(unlost: Command) -> None:
    result = unlost("audit", "--ledger", "sqlite:///missing.db")
    assert result.status == 1
    assert "sqlite:///missing.db" in result.complaint
    assert list(unlost.folder.iterdir()) == []


def test_an_audit_of_what_is_no_ledger_is_one_line_and_status_1(unlost: Command) -> None:
    (unlost.folder / "text.db").write_text("this is not a database, whatever its name says\n" * 99)
    result = unlost("audit", "--ledger", "sqlite:///text.db")
    assert result.status == 1
    assert "text.db" in result.complaint


@pytest.mark.parametrize("url", ["mysql://host/db", "nonsense", "memory://", "sqlite:///"])
def test_an_audit_of_a_url_that_is_no_ledgers_is_wrong_usage(unlost: Command, url: str) -> None:
    result = unlost("audit", "--ledger", url)
    assert result.status == 2
    assert result.complaint


def test_a_watched_line_has_no_space_in_a_key_and_no_empty_one(unlost: Command) -> None:
    counts = {"accepted": 1, "outstanding": 1, "lost": 0, "states": {"queued": 1}}
    looks = (counts, counts | {"unhandledTypes": ["mail", "sms"]})
    replies = [Reply(200, json.dumps(look).encode()) for look in looks]
    with scripted(*replies, Reply(404)) as script:
        result = unlost("stats", "--watch", "--every", "0.1", "--url", script.url)
    first, second = (line.split()[1:] for line in result.out.splitlines())
    assert all(key and value for key, value in (pair.split("=") for pair in first))
    assert second == [*first, "unhandledTypes=mail,sms"]
    assert result.status == 1
    assert "404" in result.complaint
