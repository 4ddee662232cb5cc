"""What is set for types, and who works: shown and changed by a service or on a ledger."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, Http, ndjson
from tests.cli.ledgers import idle
from unlost.ledger.opening import open_ledger
from unlost.ledger.values import Worker
from unlost.task import SECOND

NOTHING = {
    "pause": None, "limit": None, "keyLimit": None, "breaker": None, "circuit": None,
    "circuitSince": None, "opensUntil": None, "ratePerSecond": None, "keyRatePerSecond": None,
    "pull": False,
}  # fmt: skip


Steering = tuple[Command, tuple[str, ...]]


@pytest.fixture(params=["service", "ledger"])
def steering(request: pytest.FixtureRequest, client: Command, tmp_path: Path) -> Steering:
    """The command, and the words that say where it looks and acts."""
    if request.param == "service":
        return client, ()
    url = f"sqlite:///{tmp_path}/ledger.db"
    asyncio.run(idle(url))
    return client, ("--ledger", url, "--url", "http://127.0.0.1:9")


def run(steering: Steering, *words: str) -> str:
    command, where = steering
    result = command(words[0], *where, *words[1:])
    assert (result.status, result.err) == (0, "")
    return result.out


def types(steering: Steering) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(steering, "types", "--json"))["types"]
    return found


def test_what_is_paused_is_listed_until_it_is_resumed(steering: Steering) -> None:
    told = run(steering, "pause", "mail", "--by", "ann", "--reason", "mail\nis down")
    assert told.startswith("mail: paused since 20")
    assert told.endswith(" by ann: mail is down\n")
    run(steering, "pause", "mail", "--by", "bob")
    (one,) = types(steering)
    assert one == {"type": "mail"} | NOTHING | {"pause": one["pause"]}
    assert (one["pause"]["by"], one["pause"]["reason"]) == ("ann", "mail\nis down")
    assert one["pause"]["at"].endswith("Z")
    assert "by ann: mail is down" in run(steering, "types")
    assert run(steering, "resume", "mail") == "mail: nothing is set\n"
    assert types(steering) == []


@pytest.mark.parametrize("name", ["a/b", ".", "..", "é ?", "-x"])
def test_any_type_can_be_named(steering: Steering, name: str) -> None:
    assert json.loads(run(steering, "pause", "--json", "--", name))["type"] == name
    assert [one["type"] for one in types(steering)] == [name]


def test_limits_are_set_each_for_itself_and_none_removes_them(steering: Steering) -> None:
    assert run(steering, "limit", "mail", "3", "--per-key", "1") == "mail: limit 3; per key 1\n"
    assert run(steering, "limit", "mail", "--per-key", "none") == "mail: limit 3\n"
    assert types(steering) == [{"type": "mail"} | NOTHING | {"limit": 3}]
    assert run(steering, "limit", "mail", "none") == "mail: nothing is set\n"


def test_rates_are_set_each_for_itself_and_none_removes_them(steering: Steering) -> None:
    told = run(steering, "limit", "mail", "--rate", "2.5", "--rate-per-key", "0.001")
    assert told == "mail: rate 2.5/s; rate per key 0.001/s\n"
    rates = {"ratePerSecond": 2.5, "keyRatePerSecond": 0.001}
    assert types(steering) == [{"type": "mail"} | NOTHING | rates]
    assert "2.5/s" in run(steering, "types")
    assert run(steering, "limit", "mail", "7", "--rate", "100000") == (
        "mail: limit 7; rate 100000/s; rate per key 0.001/s\n"
    )
    run(steering, "limit", "mail", "none", "--rate-per-key", "none")
    assert run(steering, "limit", "mail", "--rate", "none") == "mail: nothing is set\n"


def test_a_type_is_marked_as_pulled_and_the_mark_is_taken_off(steering: Steering) -> None:
    assert run(steering, "limit", "mail", "--pull") == "mail: pull by the API alone\n"
    assert types(steering) == [{"type": "mail"} | NOTHING | {"pull": True}]
    assert "by the API alone" in run(steering, "types")
    assert run(steering, "limit", "mail", "3") == "mail: limit 3; pull by the API alone\n"
    assert run(steering, "limit", "mail", "none", "--no-pull") == "mail: nothing is set\n"


@pytest.mark.parametrize("rate", ["0", "0.0009", "100001", "nan", "x", ""])
def test_a_rate_out_of_bounds_is_wrong_usage(unlost: Command, rate: str) -> None:
    result = unlost("limit", "mail", f"--rate-per-key={rate}")
    assert result.status == 2
    assert "--rate-per-key must be 0.001 to 100000 a second, or none" in result.err


def test_a_breaker_is_set_as_usual_or_as_said_and_taken_off(steering: Steering) -> None:
    told = run(steering, "breaker", "mail")
    assert told == (
        "mail: circuit closed; breaker opens at 50 % of 10 or more in 60 s, for 30 s,"
        " then 1 probe\n"
    )
    words = (
        "--failure-share=0.2",
        "--window=5.5",
        "--minimum=3",
        "--open=0.5",
        "--probes=2",
        "--excuse",
    )
    breaker = json.loads(run(steering, "breaker", "mail", *words, "--json"))["breaker"]
    assert breaker == {
        "failureShare": 0.2, "windowSeconds": 5.5, "minimum": 3, "openSeconds": 0.5, "probes": 2,
        "excuse": True,
    }  # fmt: skip
    assert "20 % of 3 or more" in run(steering, "types")
    assert run(steering, "breaker", "mail", "--off") == "mail: nothing is set\n"


def test_an_open_circuit_is_told(client: Command, http: Http) -> None:
    client("breaker", "mail", "--minimum", "1", "--open", "3600")
    payload = {"simulate": {"outcome": "fail"}}
    http.submit(ndjson({"taskId": "t", "type": "mail", "payload": payload}))
    http.until("/types", lambda body: body["types"][0]["circuit"] == "open")
    assert "open since 20" in client("types").out


def test_workers_are_listed_with_what_they_run(client: Command, http: Http) -> None:
    payload = {"simulate": {"outcome": "hang", "seconds": 3600}}
    http.submit(ndjson({"taskId": "long", "type": "mail", "payload": payload}))
    http.until("/workers", lambda body: body["workers"][0]["runningCount"] == 1)
    (worker,) = json.loads(client("workers", "--json").out)["workers"]
    assert (worker["types"], worker["running"][0]["taskId"]) == (None, "long")
    row = client("workers").out.splitlines()[1]
    assert row.startswith(worker["id"])
    assert "every type" in row
    assert "long" in row


def test_the_workers_of_a_ledger_are_listed_too(unlost: Command, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    asyncio.run(idle(url))
    assert json.loads(unlost("workers", "--ledger", url, "--json").out) == {"workers": []}
    asyncio.run(one_that_starts_and_one_by_the_api(url))
    shown = unlost("workers", "--ledger", url).out
    assert "none yet: it is starting" in shown
    assert "mail, by the API" in shown


async def one_that_starts_and_one_by_the_api(url: str) -> None:
    ledger = await open_ledger(url)
    await ledger.enlist(Worker("slow", ()), 60 * SECOND)
    await ledger.enlist(Worker("away", ("mail",), pull=True), 60 * SECOND)
    await ledger.close()


def test_a_ledger_that_is_not_there_is_one_line(unlost: Command, tmp_path: Path) -> None:
    missing = unlost("pause", "mail", "--ledger", f"sqlite:///{tmp_path}/missing.db")
    assert missing.status == 1
    assert missing.complaint
