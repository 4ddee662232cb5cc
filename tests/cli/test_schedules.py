"""Schedules, set and looked at by a service or on a ledger; a file of them is set whole or not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, Result
from tests.cli.ledgers import idle

NIGHTLY = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "type": "report", "payload": {"n": 1}}
# Far enough off that no time comes while a test runs.
YEARLY = {"cron": "@yearly", "type": "report", "payload": {}}


class Steering:
    """The command, and the words that say where it looks and acts."""

    def __init__(self, command: Command, *where: str) -> None:
        self.folder = command.folder
        self._command = command
        self._where = where

    def __call__(self, *words: str, status: int = 0) -> Result:
        result = self._command("schedule", words[0], *self._where, *words[1:])
        assert result.status == status, result
        return result

    def listed(self) -> dict[str, dict[str, Any]]:
        found = json.loads(self("list", "--json").out)["schedules"]
        return {one["id"]: one for one in found}

    def apply(self, schedules: object, *words: str, status: int = 0) -> Result:
        (self.folder / "all.json").write_text(json.dumps(schedules))
        return self("apply", "all.json", *words, status=status)


@pytest.fixture
def steering(client: Command, tmp_path: Path) -> Steering:
    url = f"sqlite:///{tmp_path}/ledger.db"
    asyncio.run(idle(url))
    return Steering(client, "--ledger", url, "--url", "http://127.0.0.1:9")


def test_one_is_set_shown_paused_run_and_deleted_by_a_service(client: Command) -> None:
    steering = Steering(client)
    words = ("--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--type", "report")
    told = steering("set", "cli-nightly", *words, "--payload", '{"n": 1.10}').out.splitlines()
    assert told[0].startswith("cli-nightly: 20")
    assert all(line.startswith("cli-nightly: the clock goes from ") for line in told[1:])
    assert len(told) == 3
    shown = steering("show", "cli-nightly").out
    assert "30 2 * * * (Europe/Berlin, tzdata 20" in shown
    assert '{"n":1.10}' in shown
    assert "0 due = 0 made + 0 skipped" in shown
    assert steering("pause", "cli-nightly", "--by", "ann").out == "cli-nightly: paused\n"
    assert steering.listed()["cli-nightly"]["paused"]
    ran = steering("run", "cli-nightly", "--task-id", "cli-once").out
    assert ran.startswith("cli-once: ")
    again = json.loads(steering("run", "cli-nightly", "--task-id", "cli-once", "--json").out)
    assert again["taskId"] == "cli-once"
    assert steering("run", "cli-nightly").out.startswith("cli-nightly:run:")
    assert steering("resume", "cli-nightly").out.startswith("cli-nightly: 20")
    gone = steering("delete", "cli-nightly").out
    assert gone == "cli-nightly: deleted; its tasks stay\n"
    assert "no schedule has this id" in steering("show", "cli-nightly", status=1).complaint


def test_set_again_makes_it_another_and_lists_are_tables(steering: Steering) -> None:
    steering("set", "beat", "--every", "86400", "--type", "beat", "--paused", "--missed", "all")
    steering("set", "beat", "--every", "3600", "--type", "beat", "--grace", "5")
    one = steering.listed()["beat"]
    assert (one["every"], one["missed"], one["graceSeconds"]) == (3600, "last", 5)
    assert one["paused"]  # only a pause stays
    heads, row = steering("list").out.splitlines()
    assert heads.split()[:5] == ["SCHEDULE", "TIMES", "ZONE", "TYPE", "NEXT"]
    assert row.split() == ["beat", "every", "3600", "s", "UTC", "beat", "paused", "0", "0"]


def test_wrong_usage_is_told_before_anybody_is_asked(steering: Steering) -> None:
    for words, said in (
        (("set", "a", "--type", "x"), "either --cron or --every"),
        (("set", "a", "--type", "x", "--cron", "@daily", "--every", "5"), "either --cron"),
        (("set", "a", "--every", "5"), "--type"),
        (("set", "a", "--every", "1.9", "--type", "x"), "--every: '1.9' is no whole number"),
        (("set", "a", "--every", "0", "--grace=-3"), "--every must be a whole number of seconds"),
        (("set", "a", "--every", "0", "--grace=-3"), "submitted: --type; --grace must be 0 to"),
        (("set", "a", "--every", "5", "--type", "x", "--timeout", "0"), "--timeout must be"),
        (("set", "a b", "--every", "5", "--type", "x"), "an id is 1 to 200"),
        (("set", "a", "--every", "5", "--type", "x", "--payload", "[]"), "must be an object"),
        (("set", "a", "--every", "5", "--type", "x", "--payload", "@none"), "cannot be read"),
        (("show", "../tasks"), "an id is 1 to 200"),
    ):
        assert said in steering(*words, status=2).complaint


def test_a_wrong_field_is_told_before_anybody_is_asked(steering: Steering) -> None:
    words = ("set", "a", "--type", "x", "--cron", "60 * * * *", "--timezone", "europe/berlin")
    said = steering(*words, status=2).complaint
    assert "--cron minute: 60" in said
    assert "--timezone must be the name of a time zone" in said
    assert "did you mean Europe/Berlin?" in said
    assert steering.listed() == {}


def test_what_only_the_service_refuses_names_the_flag(steering: Steering) -> None:
    words = ("set", "a", "--type", "x", "--every", "5", "--callback-url", "ftp://example.com/")
    said = steering(*words, status=1).complaint
    assert "--callback-url" in said
    assert "#/" not in said


def test_times_are_told_by_the_schedules_own_clock(steering: Steering) -> None:
    words = ("--cron", "0 9 1 7 *", "--timezone", "Europe/Berlin", "--type", "x")
    first = steering("set", "a", *words).out.splitlines()[0]
    assert first.endswith("-07-01 09:00:00+02:00")
    shown = dict(line.split(maxsplit=1) for line in steering("show", "a").out.splitlines()[:9])
    assert shown["next"] == first.removeprefix("a: ")
    assert shown["then"].count("-07-01 09:00:00+02:00") == 4
    assert " 09:00:00+02:00 " in steering("list").out


def test_one_that_is_not_there_is_not_said_to_be_deleted(steering: Steering) -> None:
    assert steering("delete", "none", "--yes").out == "none: no schedule has this id\n"
    assert json.loads(steering("delete", "none", "--yes", "--json").out) == {"deleted": []}


def test_a_file_is_applied_again_without_a_change(steering: Steering) -> None:
    told = steering.apply({"nightly": NIGHTLY, "yearly": YEARLY}).out
    assert told.splitlines()[:4] == ["created    2", "changed    0", "unchanged  0", "deleted    0"]
    assert "nightly: the clock goes from " in told
    before = steering.listed()
    done = json.loads(steering.apply({"nightly": NIGHTLY, "yearly": YEARLY}, "--json").out)
    assert done["unchanged"] == ["nightly", "yearly"]
    assert steering.listed() == before
    changed = {"nightly": NIGHTLY | {"missed": "skip"}, "new": YEARLY}
    done = json.loads(steering.apply(changed, "--json").out)
    assert (done["created"], done["changed"], done["deleted"]) == (["new"], ["nightly"], [])
    assert steering.listed().keys() == {"nightly", "new", "yearly"}
    done = json.loads(steering.apply(changed, "--prune", "--json").out)
    assert done["deleted"] == ["yearly"]
    assert steering.listed().keys() == {"nightly", "new"}


def test_nothing_of_a_file_is_applied_if_one_is_refused(steering: Steering) -> None:
    steering.apply({"old": YEARLY})
    bad = {"good": NIGHTLY, "bad": NIGHTLY | {"cron": "0 0 30 2 *"}, "worse": {"every": 5}}
    said = steering.apply(bad, "--prune", status=1).complaint
    assert said.startswith("unlost: nothing was set: bad: ")
    assert "day of month" in said
    assert "worse: " in said
    assert steering.listed().keys() == {"old"}


def test_a_full_ledger_takes_no_more_and_others_in_place_of_those_that_go(
    steering: Steering, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("ledger.sqlite.schedules.scheduling", "cli.commands.schedule.applying"):
        monkeypatch.setattr(f"unlost.{place}.MOST", 2, raising=False)
    steering.apply({"a": YEARLY, "b": YEARLY})
    said = steering.apply({"a": NIGHTLY, "c": YEARLY, "d": YEARLY}, "--prune", status=1).complaint
    assert "nothing was set: there would be 3 schedules" in said
    assert "nothing was set" in steering.apply({"a": NIGHTLY, "c": YEARLY}, status=1).complaint
    assert steering.listed()["a"]["cron"] == "@yearly"
    done = json.loads(steering.apply({"c": YEARLY, "d": YEARLY}, "--prune", "--json").out)
    assert (done["deleted"], done["created"]) == (["a", "b"], ["c", "d"])
    assert steering.listed().keys() == {"c", "d"}


def test_yaml_and_standard_input(steering: Steering) -> None:
    (steering.folder / "all.yaml").write_text(
        "nightly:\n  cron: '30 2 * * *'\n  type: report\n  payload: {at: 02:30}\n"
    )
    assert "created    1" in steering("apply", "all.yaml").out
    assert '"at":"02:30"' in steering("show", "nightly", "--json").out
    (steering.folder / "bad.yaml").write_text("nightly: {every: 5, every: 6}")
    assert "bad.yaml has every twice" in steering("apply", "bad.yaml", status=1).complaint
    assert "No such file" in steering("apply", "none.yaml", status=1).complaint
