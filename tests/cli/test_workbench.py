"""`unlost dead` on a terminal: from a failure to what became of it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cli.conftest import Code, Command, Http, doomed
from tests.cli.terminal import Terminal, at_terminal
from unlost.cli.client.answers import ErrorSeen, TaskSeen
from unlost.cli.client.redrives import RedriveSeen
from unlost.cli.commands.dead.preview import Hindrances, afterwards, preview, timelines

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)

Broken = tuple[Command, Http, Code]


@contextmanager
def at_a_group(client: Command, columns: int = 100) -> Iterator[Terminal]:
    """The workbench, where the first group was chosen."""
    with at_terminal(client, "dead", "--by", "ann", columns=columns) as terminal:
        terminal.wait_for("which group?")
        terminal.type("1\n")
        terminal.wait_for("what now?")
        yield terminal


def test_from_a_failure_to_redriven_success(broken: Broken) -> None:
    client, http, code = broken
    http.process(doomed(*"abcde"))
    code.mended = True
    with at_a_group(client) as terminal:
        assert "no such customer" in terminal.text
        assert "Traceback (most recent call last)" in terminal.text
        assert "a redrive gives 5 dead letters a fresh set of attempts: 5 default" in terminal.text
        terminal.type("c\n")
        terminal.wait_for("how many a second?")
        terminal.type("\n")
        terminal.wait_for("why, for the history?")
        terminal.type("mended\n")
        terminal.wait_for("redrive the oldest first, and the other 4 only if it succeeds? [y/N]")
        terminal.type("y\n")
        terminal.wait_for("there are no dead letters")
        assert terminal.close() == 0
    assert "all of them succeeded" in terminal.text
    assert http.settle()["succeeded"] == 5
    assert "redrive by ann: mended" in client("task", "a").out


def test_a_canary_that_dies_again_says_of_what_and_leaves_the_rest(broken: Broken) -> None:
    client, http, _ = broken
    http.process(doomed(*"abc"))
    with at_a_group(client) as terminal:
        terminal.type("c\n\n\ny\n")
        terminal.wait_for("1 died again, of the same error: Reject: no such customer")
        terminal.wait_for("which group?")
        terminal.type("q\n")
        assert terminal.close() == 0
    assert [http.task(name)["redriveCount"] for name in "abc"] == [1, 0, 0]


def test_a_group_is_discarded_with_its_reason_or_not_at_all(client: Command, http: Http) -> None:
    http.process(doomed("a", "b"))
    with at_a_group(client) as terminal:
        terminal.type("d\nspam\n\n")
        terminal.wait_for("nothing was done")
        assert http.settle()["dead"] == 2
        terminal.type("d\nspam\ny\n")
        terminal.wait_for("2 discarded")
        assert terminal.close() == 0
    assert "discard by ann: spam" in client("task", "a").out


def test_a_group_is_exported_and_no_file_is_overwritten(client: Command, http: Http) -> None:
    http.process(doomed("a", "b"))
    with at_a_group(client) as terminal:
        terminal.type("e out.ndjson\n")
        terminal.wait_for("2 dead letters exported to out.ndjson")
        terminal.type("e out.ndjson\n")
        terminal.wait_for("File exists")
        terminal.type("n a\nx\nb\n")
        terminal.wait_for("there is no x")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.close() == 130
    lines = (client.folder / "out.ndjson").read_text().splitlines()
    assert sorted(json.loads(line)["taskId"] for line in lines) == ["a", "b"]


def test_elsewhere_than_on_a_terminal_the_help_is_shown(unlost: Command) -> None:
    result = unlost("dead")
    assert result.status == 0
    assert result.out.startswith("Usage: unlost dead")


# What is told, without a terminal


def letter(task_type: str, redrives: int = 0) -> TaskSeen:
    return TaskSeen("a", task_type, "dead", 3, 2, NOW, NOW, redrives)


def test_the_preview_says_what_a_redrive_would_do_and_what_would_keep_it() -> None:
    keeps = Hindrances(unhandled=["sms"], paused=["mail"])
    found = preview(12, [letter("mail"), letter("mail", 1), letter("sms")], keeps)
    assert found == [
        "a redrive gives 12 dead letters a fresh set of attempts: 2 mail, 1 sms (of the newest 3)",
        "1 of them was redriven before, and died again",
        (
            "as a canary: one first, the other 11 only if it succeeds, and never more under way"
            " than have succeeded"
        ),
        "mail is paused: `unlost resume` lets it go",
        "sms has no worker",
    ]


def test_groups_are_plotted_on_one_axis() -> None:
    old, new = NOW - timedelta(minutes=50), NOW - timedelta(minutes=1)
    back, plots = timelines({"a": [old], "b": [new, new], "c": []}, NOW)
    assert back == "last 1 h 00 min"
    assert plots == {"a": "▁▁█▁▁▁▁▁▁▁▁▁", "b": "▁▁▁▁▁▁▁▁▁▁▁█", "c": "▁" * 12}


def outcome(state: str, **sums: Any) -> RedriveSeen:
    found: dict[str, Any] = {
        "redriven": 0,
        "succeeded": 0,
        "died_again": 0,
        "cancelled": 0,
        "gone": 0,
    }
    found |= {"under_way": 0, "selected": 2, "left": 0, **sums}
    return RedriveSeen("r1", state, started_at=NOW, updated_at=NOW, **found)


def test_what_a_canary_has_shown_is_said() -> None:
    stopped = outcome("stopped", redriven=1, died_again=1, left=1, why="1 died again")
    other = ErrorSeen("KeyError", "'x'")
    assert afterwards(stopped, "ValueError", other) == (
        "1 died again, of another error than before: KeyError: 'x'"
    )
    goes_on = outcome("running", redriven=1, succeeded=1, left=1)
    assert afterwards(goes_on, "ValueError", None) == (
        "0 under way, 1 left; `unlost redrives r1` shows how"
    )
    all_well = outcome("done", redriven=2, succeeded=2)
    assert afterwards(all_well, "ValueError", None) == "all of them succeeded"
    taken = outcome("done", redriven=1, succeeded=1, gone=1)
    assert afterwards(taken, "ValueError", None) == "done; 1 were taken or cancelled by others"
