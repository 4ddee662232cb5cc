"""`unlost dead redrive --canary`, which watches, and `unlost redrives`."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

from tests.cli.conftest import Code, Command, Http, doomed, http_to
from tests.cli.running import running
from tests.cli.scripted import Reply, scripted
from unlost import Handlers

Broken = tuple[Command, Http, Code]


def slowly(client: Command) -> str:
    """Redrive all dead letters, one in a hundred seconds; the redrive's id."""
    words = ("dead", "redrive", "--all", "--rate", "0.01", "--by", "ann", "--json")
    sums = json.loads(client(*words).out)
    assert sums["redriven"] == 1
    [name] = sums["redrives"]
    return str(name)


def shown(client: Command, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client("redrives", *words, "--json").out)
    return found


def test_a_redrive_is_listed_shown_and_stopped(broken: Broken) -> None:
    client, http, code = broken
    http.process(doomed(*"abc"))
    code.mended = True
    name = slowly(client)
    heads, row = client("redrives").out.splitlines()
    assert heads.split()[:2] == ["REDRIVE", "STATE"]
    assert row.split()[:2] == [name, "running"]
    http.until(f"/redrives/{name}", lambda redrive: redrive["succeeded"] == 1)
    lines = dict(line.split(maxsplit=1) for line in client("redrives", name).out.splitlines())
    assert (lines["redriven"], lines["left"], lines["by"]) == ("1", "2", "ann")

    for _ in range(2):
        stopped = shown(client, name, "--stop", "--by", "bea", "--reason", "enough")
        assert (stopped["state"], stopped["left"]) == ("stopped", 2)
        assert stopped["why"].startswith("stopped by bea")
    assert "2 stay dead; once the cause is gone" in client("redrives", name).out
    assert [one["id"] for one in shown(client, "--state", "stopped")["redrives"]] == [name]
    assert shown(client, "--state", "running")["redrives"] == []
    assert http.settle() == {**http.settle(), "succeeded": 1, "dead": 2}


def test_a_list_goes_on_page_by_page(client: Command, http: Http) -> None:
    http.process(doomed("a"))
    for _ in range(3):
        assert "no dead letter matches" in client("dead", "redrive", "--type", "none").out
    page = shown(client, "--limit", "2")
    rest = shown(client, "--cursor", page["nextCursor"])
    names = [one["id"] for one in page["redrives"] + rest["redrives"]]
    assert (len(names), len(set(names)), rest["nextCursor"]) == (3, 3, None)
    assert [one["id"] for one in shown(client, "--all")["redrives"]] == names


def test_a_canary_of_several_goes_first(broken: Broken) -> None:
    client, http, code = broken
    http.process(doomed(*"abcdef"))
    words = ("--canary=3", "--tolerate", "5", "--forget", "mail", "--json")
    result = client("dead", "redrive", "--all", *words)
    sums = json.loads(result.out)
    assert (result.status, sums["redriven"], sums["diedAgain"]) == (1, 6, 6)
    lines = client("redrives", sums["id"]).out.splitlines()
    assert [line.split() for line in lines if "again " in line][-1] == ["made", "again", "mail"]
    code.mended = True
    assert client("dead", "redrive", "--all", "--canary=3").status == 0
    assert http.settle()["succeeded"] == 6


def test_what_is_watched_goes_on_through_a_restart_and_when_nobody_watches(
    unlost: Command,
) -> None:
    ledger = f"sqlite:///{unlost.folder / 'unlost.db'}"
    code = Code()
    handlers = Handlers.for_every_type(code)
    with running(ledger=ledger, handlers=handlers) as first, http_to(first.url) as http:
        http.process(doomed(*"abcdefghijklmnopqrst"))
        code.mended = True
        words = ("dead", "redrive", "--all", "--canary", "--rate", "8", "--json")
        process = unlost.start(*words, UNLOST_URL=first.url)
        while http.task("b")["state"] == "dead":
            time.sleep(0.01)
    with running(first.port, ledger, handlers), http_to(first.url) as http, process:
        while http.task("d")["state"] != "succeeded":
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        sums = json.loads(out)
        assert process.returncode == 130
        assert sums["redriven"] + sums["left"] == 20
        said = f"it goes on by itself; `unlost redrives {sums['id']}` shows how, --stop stops it"
        assert said in err.decode()
        http.until("/stats", lambda stats: stats["states"]["succeeded"] == 20)


def test_a_key_that_may_not_look_is_told_that_it_goes_on(unlost: Command) -> None:
    begun = {
        "id": "r1", "state": "canary", "redriven": 0, "succeeded": 0, "diedAgain": 0, "gone": 0,
        "cancelled": 0, "underWay": 0, "startedAt": "2030-01-01T00:00:00Z",
        "updatedAt": "2030-01-01T00:00:00Z",
    }  # fmt: skip
    refused = b'{"title": "no", "detail": "the key has not the scope read", "status": 403}'
    with scripted(Reply(201, json.dumps(begun).encode()), Reply(403, refused)) as script:
        result = unlost("dead", "redrive", "--all", "--canary", "--url", script.url)
        [body] = [json.loads(body) for body in script.bodies]
    assert result.status == 1
    assert "it goes on by itself; `unlost redrives r1` shows how" in result.complaint
    assert (body["canary"], body["tolerate"], body["patience"]) == (1, 0, 600)


def test_ids_that_the_service_is_still_to_redrive_are_dead_letters(broken: Broken) -> None:
    client, http, code = broken
    http.process(doomed(*"abc"))
    code.mended = True
    result = client("dead", "redrive", "a", "b", "c", "--rate", "0.01")
    assert (result.status, result.out.split()[:2]) == (0, ["redriven", "1"])
    result = client("dead", "redrive", "b", "c", "nobody", "--rate", "0.01")
    assert result.status == 1
    assert "not dead letters: 1 of 3 ids" in result.complaint


def test_what_is_still_to_be_redriven_counts_against_the_limit(unlost: Command) -> None:
    seen = {
        "id": "r1", "state": "running", "redriven": 7, "succeeded": 0, "diedAgain": 0, "gone": 0,
        "cancelled": 0, "underWay": 7, "startedAt": "2030-01-01T00:00:00Z", "selected": 990,
        "updatedAt": "2030-01-01T00:00:00Z",
    }  # fmt: skip
    taken = {"redriven": 7, "more": False, "redrive": "r1"}
    replies = [Reply(202, json.dumps(taken).encode()), Reply(200, json.dumps(seen).encode())]
    with scripted(*replies, replies[0]) as script:
        ids = map(str, range(1_500))
        result = unlost("dead", "redrive", *ids, "--limit", "1000", "--url", script.url)
        limits = [json.loads(body)["limit"] for body in script.bodies]
    assert (result.status, limits) == (0, [1_000, 10])
