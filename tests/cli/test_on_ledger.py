"""Tasks and dead letters are looked at and acted on without a service, whatever their ids are."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.aws.emulator import Emulator
from tests.cli.conftest import Command
from tests.cli.ledgers import opened
from tests.conformance.stage import Clock, Stage
from tests.ledger.tables import Table
from unlost.cli.ledgers.direct import Direct
from unlost.ledger.protocol import Ledger
from unlost.task import State

DEAD = ("a?b", "a%2Fb", "50% off", "x/cancel", "ü ✓")
OTHERS = ("a", "a/b", "x")
"""What the dead ones would be taken for behind a gateway that decodes paths."""

Place = tuple[Command, str]


@pytest.fixture(params=["sqlite", "dynamodb"])
def place(request: pytest.FixtureRequest, unlost: Command, tmp_path: Path) -> Iterator[Place]:
    """The command, and a ledger on which nobody serves."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/ledger.db"
        asyncio.run(furnish(url))
        yield unlost, url
        return
    emulator: Emulator = request.getfixturevalue("emulator")
    aws = {name: value for name, value in emulator.environment.items() if name.startswith("AWS_")}
    with Table(emulator.url) as table, pytest.MonkeyPatch.context() as patched:
        for name, value in aws.items():
            patched.setenv(name, value)
        url = f"dynamodb://{table.name}"
        asyncio.run(furnish(url))
        yield Command(unlost.folder, {**unlost.variables, **aws}), url


async def furnish(url: str) -> None:
    clock = Clock()
    async with opened(url, clock) as ledger:

        async def again() -> Ledger:
            return ledger

        stage = Stage(ledger, clock, again)
        await stage.bury(*DEAD)
        await stage.submit(*OTHERS, delay=1e6)


def states(url: str, *task_ids: str) -> list[State]:
    async def look() -> list[State]:
        async with opened(url) as ledger:
            found = [await ledger.get(one) for one in task_ids]
            return [one.state for one in found if one is not None]

    return asyncio.run(look())


def test_each_is_found_by_its_very_id(place: Place) -> None:
    command, url = place
    for name in (*DEAD, *OTHERS):
        shown = command("task", name, "--ledger", url, "--json")
        assert (shown.status, shown.err) == (0, "")
        assert json.loads(shown.out)["taskId"] == name
    died = command("dead", "show", DEAD[0], "--ledger", url)
    assert "Traceback" in died.out
    listed = command("tasks", "--ledger", url, "--json", "--state", "dead")
    assert {one["taskId"] for one in json.loads(listed.out)["tasks"]} == set(DEAD)


def test_each_is_redriven_or_discarded_alone(place: Place) -> None:
    command, url = place
    for name in DEAD[:2]:
        assert command("dead", "discard", name, "--ledger", url).err == ""
    assert command("dead", "redrive", *DEAD[2:], "--ledger", url).err == ""
    assert states(url, *DEAD) == [State.CANCELLED] * 2 + [State.QUEUED] * 3
    assert states(url, *OTHERS) == [State.QUEUED] * 3
    groups = command("dead", "groups", "--ledger", url, "--json")
    assert json.loads(groups.out) == {"groups": []}


def test_what_is_not_there_is_told_as_by_a_service(place: Place) -> None:
    command, url = place
    missing = command("task", "nobody", "--ledger", url)
    assert (missing.status, "no task has this id" in missing.complaint) == (1, True)
    refused = command("dead", "redrive", OTHERS[0], "--ledger", url)
    assert (refused.status, "queued" in refused.complaint) == (1, True)


def test_a_schedule_that_does_not_say_it_has_the_grace_of_its_home(place: Place) -> None:
    command, url = place
    every = ("--every", "60", "--type", "mail", "--ledger", url, "--json")
    made = json.loads(command("schedule", "set", "s", *every).out)
    assert made["graceSeconds"] == (300 if url.startswith("dynamodb") else 60)


def test_what_is_new_has_a_name_that_no_gateway_misreads_and_what_is_there_has_any(
    place: Place,
) -> None:
    command, url = place
    refused = url.startswith("dynamodb")
    with httpx.Client(transport=Direct(url, reading=False), base_url="http://localhost") as relayed:
        answers = [
            relayed.post("/tasks", json={"taskId": name, "payload": {}}) for name in ("?", "new")
        ]
    assert [one.status_code for one in answers] == [422 if refused else 202, 202]
    every = ("--every", "60", "--type", "a?b", "--ledger", url)
    assert command("schedule", "set", "s", *every).status == refused
    assert command("pause", "a?b", "--ledger", url).err == ""


def test_a_service_elsewhere_submits_no_name_that_its_home_refuses(place: Place) -> None:
    command, url = place
    service = command.start("api", "--port", "0", "--ledger", url)
    try:
        assert service.stderr is not None
        listening = next(line for line in service.stderr if b"is listening on" in line)
        told = httpx.post(
            listening.split()[-1].decode() + "/tasks", json={"taskId": "?", "payload": {}}
        )
    finally:
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=30)
    assert told.status_code == (422 if url.startswith("dynamodb") else 202)


def test_a_ledger_that_is_none_is_told_in_one_line(unlost: Command) -> None:
    none = unlost("task", "t", "--ledger", "sqlite:///none.db")
    assert (none.status, "does not exist" in none.complaint) == (1, True)
    wrong = unlost("dead", "list", "--ledger", "redis://here")
    assert (wrong.status, "not a ledger" in wrong.complaint) == (2, True)
