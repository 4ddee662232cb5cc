"""Steps by the command line: shown with their task, and made again where a redrive says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.conftest import Command, Http, http_to
from tests.cli.running import running
from unlost.handlers import Handlers, Reject, Task

Shop = tuple[Command, Http, list[str]]


@pytest.fixture
def shop(unlost: Command) -> Iterator[Shop]:
    """The command, with a service whose handler charges and mails, then fails; what it did."""
    did: list[str] = []

    def act(name: str) -> dict[str, str]:
        did.append(name)
        return {"did": name}

    async def handler(task: Task) -> None:
        for name in ("charge", "mail"):
            await task.once(name, act, name)
        raise Reject("broken")

    with (
        running(handlers=Handlers.for_every_type(handler)) as place,
        http_to(place.url) as http,
    ):
        http.process(b'{"taskId":"a","payload":{}}\n{"taskId":"b","payload":{}}\n')
        did.clear()
        yield Command(unlost.folder, {"UNLOST_URL": place.url}), http, did


def steps(client: Command, task_id: str = "a") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(client("task", task_id, "--json").out)["steps"]
    return found


def test_a_task_shows_its_steps_and_what_they_returned_to_who_asks(shop: Shop) -> None:
    client, _, _ = shop
    plain = client("task", "a").out
    assert [line.split()[:2] for line in plain.splitlines() if line.startswith(("charge", "mail"))]
    assert '{"did":"charge"}' not in plain
    assert '{"did":"charge"}' in client("task", "a", "--steps").out
    assert [step["name"] for step in steps(client)] == ["charge", "mail"]


def test_a_redrive_makes_again_what_it_is_told_to(shop: Shop) -> None:
    client, http, did = shop
    assert client("dead", "redrive", "a").status == 0
    http.settle()
    assert did == []
    assert client("dead", "redrive", "a", "--forget", "mail").status == 0
    http.settle()
    assert did == ["mail"]
    assert client("dead", "redrive", "a", "--forget-all").status == 0
    http.settle()
    assert did == ["mail", "charge", "mail"]


def test_a_new_payload_has_to_say_what_is_made_again(shop: Shop) -> None:
    client, http, did = shop
    said = client.fed(b"{}", "dead", "redrive", "a", "--payload", "-").complaint
    assert "--forget, --forget-all or --keep-steps must say which" in said
    kept = client.fed(b"{}", "dead", "redrive", "a", "--payload", "-", "--keep-steps")
    assert kept.status == 0
    http.settle()
    assert did == []


def test_a_canary_forgets_names_too(shop: Shop) -> None:
    client, http, did = shop
    client("dead", "redrive", "--all", "--canary", "--forget", "charge", "--patience", "5")
    http.settle()
    assert did == ["charge"]


@pytest.mark.parametrize(
    "words",
    [
        ("a", "--forget", "a b"),
        ("a", "--forget", "x", "--forget-all"),
        ("a", "--keep-steps"),
        ("a", "b", "--forget-all"),
        ("a", "b", "--forget", "x"),
        ("--all", "--forget", "x"),
        ("a", *("--forget=x",) * 51),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(unlost: Command, words: tuple[str, ...]) -> None:
    result = unlost("dead", "redrive", *words)
    assert (result.status, "orget" in result.complaint or "steps" in result.complaint) == (2, True)
