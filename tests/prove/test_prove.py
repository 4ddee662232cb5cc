"""`unlost prove` as a user runs it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from tests.cli.conftest import Command, Result, ndjson
from tests.prove.proving import command, only
from unlost.prove.fates import Fate, Rates, fate
from unlost.prove.report import Cause


@pytest.fixture
def unlost(tmp_path: Path) -> Command:
    return command(tmp_path)


CARELESS = [
    "prove", "--handler", "prove_app:careless", "--seed", "10", "--restarts", "0", "--count", "12",
    "--probe", "grep -c ^{taskId}$ again.txt", "--json",
]  # fmt: skip


def proved(unlost: Command, *words: str) -> tuple[Result, dict[str, Any]]:
    result = unlost.fed(b"", *words)
    return result, json.loads(result.out)


def planned(seed: int, count: int) -> dict[str, list[Fate]]:
    """What the seed has in store for each task, attempt by attempt."""
    plan = {}
    for task_id in (f"again-{number}" for number in range(1, count + 1)):
        fates = [fate(seed, task_id, 1, Rates())]
        while fates[-1] not in (Fate.NONE, Fate.ANSWER_LOST):
            fates.append(fate(seed, task_id, len(fates) + 1, Rates()))
        plan[task_id] = fates
    return plan


def found(report: dict[str, Any], seen_by: str) -> dict[str, int]:
    repeated = report["effects"]["repeated"]
    return {one["taskId"]: one["times"] for one in repeated if one["seenBy"] == seen_by}


def test_a_handler_that_is_not_idempotent_is_found_out_and_the_same_again_with_the_seed(
    unlost: Command,
) -> None:
    result, first = proved(unlost, *CARELESS, "--html", "report.html")
    assert result.status == 1
    assert "unlost: effects happened more than once, in " in result.err
    assert first["verdict"] == "duplicates"
    assert first["broken"] == []
    plan = planned(10, 12)
    ran = {
        task: sum(one not in (Fate.FAILED_BEFORE, Fate.KILLED_BEFORE) for one in fates)
        for task, fates in plan.items()
    }
    twice = {task: times for task, times in ran.items() if times > 1}
    assert len(twice) >= 4
    assert found(first, "effect") == found(first, "probe") == twice
    for one in first["effects"]["repeated"]:
        injected = {trial["number"]: trial["injected"] for trial in one["attempts"]}
        assert all(injected[number] == plan[one["taskId"]][number - 1] for number in injected)
    page = (unlost.folder / "report.html").read_text()
    assert "&lt;b&gt;appended&lt;/b&gt;" in page
    assert "<b>" not in page
    (unlost.folder / "again.txt").unlink()
    result, second = proved(unlost, *CARELESS, "--allow-duplicates")
    assert result.status == 0
    for name in ("sums", "attempts", "injections", "effects"):
        assert first[name] == second[name], name


def test_a_step_whose_record_was_lost_is_told_from_other_effects(unlost: Command) -> None:
    words = ["prove", "--handler", "prove_app:charging", "--count=12", "--seed=4", "--kills=0.6"]
    quiet = ["--failures=0", "--duplicates=0", "--lost-answers=0", "--restarts=0", "--json"]
    probe = ["--probe", "grep -c ^{taskId}$ booked.txt", "--html", "report.html"]
    result, report = proved(unlost, *words, *quiet, *probe)
    assert (result.status, report["verdict"]) == (0, "passed"), result.err
    effects = report["effects"]
    asked = (unlost.folder / "asked.txt").read_text().splitlines()
    twice = {one: asked.count(one) for one in asked if asked.count(one) > 1}
    again = {one["taskId"]: one["times"] for one in effects["stepsRepeated"]}
    assert effects["steps"] == len(asked)
    assert again == twice != {}
    assert report["injections"]["attempts"]["killedAtEffect"] > 0
    assert effects["repeated"] == []
    assert "12 tasks probed" in (unlost.folder / "report.html").read_text()
    assert "task.idempotency_key" in (unlost.folder / "report.html").read_text()


def test_the_json_report_has_the_shape_that_it_is_known_by(unlost: Command) -> None:
    _, report = proved(
        unlost, "prove", "--handler", "prove_app:returns", "--count=2", "--json", *only()
    )
    assert list(report) == [
        "version", "verdict", "handler", "seed", "command", "seconds", "sums", "attempts",
        "injections", "effects", "deaths", "broken", "blindSpots",
    ]  # fmt: skip
    assert report["version"] == 1
    assert list(report["sums"]) == [
        "submitted", "succeeded", "dead", "cancelled", "unfinished", "lost",
    ]  # fmt: skip
    assert list(report["attempts"]) == [
        "succeeded", "failedByItself", "failedByInjection", "timedOut", "lostToKill",
        "lostWithNeighbour", "lostToRestart", "lostLease", "lostByItself", "released",
        "cancelled", "running",
    ] == [cause.value for cause in Cause]  # fmt: skip
    assert list(report["injections"]) == [
        "attempts", "restarts", "lateSettlementsRefused", "submitAnswersLost",
    ]  # fmt: skip
    assert list(report["injections"]["attempts"]) == [
        "failedBefore", "failedAfter", "killedBefore", "killedDuring", "killedAtEffect",
        "killedAfter", "overtakenBefore", "overtakenAfter", "answerLost", "treeKilled",
    ] == [fate.value for fate in Fate if fate is not Fate.NONE]  # fmt: skip
    assert list(report["effects"]) == [
        "declared", "probed", "repeated", "missing", "probeFaults", "steps", "stepsRepeated",
    ]  # fmt: skip
    assert report["effects"]["probed"] is None
    assert report["sums"]["succeeded"] == 2
    seed = report["seed"]
    assert report["command"].endswith(f"--restarts=0 --seed {seed}")


def test_a_ledger_without_fencing_breaks_a_promise(unlost: Command) -> None:
    overtaken = [fate(3, f"any-{number}", 1, Rates(0, 0, 1, 0)) for number in (1, 2, 3)]
    assert set(overtaken) == {Fate.OVERTAKEN_BEFORE}  # the pair of attempts that is the closest
    words = ["prove", "--handler", "prove_app:unfenced", "--count=3", "--seed=3"]
    result = unlost.fed(b"", *words, *only("duplicates"))
    assert result.status == 1
    assert result.err.splitlines()[-1] == "unlost: a promise is broken"
    assert "settled by exactly one attempt" in result.out


def test_tasks_that_do_not_end_in_time_and_a_probe_that_fails(unlost: Command) -> None:
    words = ["prove", "--handler", "prove_app:slow", "--count=1", "--time-limit=1", *only()]
    result = unlost.fed(b"", *words, "--attempt-timeout=60", "--probe", "false {taskId}")
    assert result.status == 1
    assert "unlost: 1 tasks had not ended within the time limit" in result.err
    assert "it ended with status 1" in result.out


def tasks(unlost: Command, *lines: object) -> str:
    (unlost.folder / "tasks.ndjson").write_bytes(ndjson(*lines))
    return "tasks.ndjson"


def test_faults_of_the_file_are_told_as_submit_does(unlost: Command) -> None:
    file = tasks(
        unlost,
        {"taskId": "a", "payload": {}},
        {"taskId": "b", "payload": 1},
        {"taskId": "a", "payload": {"other": 1}},
    )
    with (unlost.folder / file).open("a") as more:
        more.write("not JSON\n")
    result = unlost("prove", "--handler", "prove_app:returns", "--tasks", file)
    assert result.status == 1
    assert result.err.splitlines()[-1] == "unlost: 3 lines were rejected"
    first, second, third, _ = result.err.splitlines()
    assert first.startswith("line 2 (b): 422 ")
    assert second.startswith("line 3 (a): 409 ")
    assert third.startswith("line 4: 400 not JSON")


def test_a_type_that_no_handler_serves_is_told_before_anything_runs(unlost: Command) -> None:
    file = tasks(unlost, {"taskId": "a", "type": "mail", "payload": {}})
    result = unlost("prove", "--handler", "prove_app:careless", "--tasks", file)
    assert result.status == 1
    assert "line 1 (a): prove_app:careless has no handler for tasks of type 'mail'" in result.err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--handler", "nonsense"],
        ["--handler", "no_such_module:handlers"],
        ["--handler", "prove_app:nobody"],
        ["--handler", "prove_app:handlers", "--kills", "2"],
        ["--handler", "prove_app:handlers", "--kills", "0.9"],
        ["--handler", "prove_app:handlers", "--failures", "-1"],
        ["--handler", "prove_app:handlers", "--restarts", "-1"],
        ["--handler", "prove_app:handlers", "--count", "0"],
        ["--handler", "prove_app:handlers", "--concurrency", "0"],
        ["--handler", "prove_app:handlers", "--time-limit", "0"],
        ["--handler", "prove_app:handlers", "--probe", "true"],
        ["--handler", "prove_app:handlers", "--probe", "'{taskId}"],
    ],
)
def test_wrong_usage_is_one_line_and_status_2(unlost: Command, words: list[str]) -> None:
    result = unlost("prove", *words)
    assert result.status == 2
    assert result.complaint
    assert result.out == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_proof_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with TemporaryDirectory(prefix="u") as folder:
        unlost = Command(tmp_path, {**command(tmp_path).variables, "TMPDIR": folder})
        with unlost.start("prove", "--handler", "prove_app:slow", "--count=3", *only()) as process:
            journal = wait_for_journal(Path(folder), process)
            tree = psutil.Process(process.pid).children(recursive=True)
            assert len(tree) >= 3
            os.kill(process.pid, number)
            process.communicate(timeout=30)
        assert process.returncode == (130 if number is signal.SIGINT else 143)
        assert not journal.exists()
        assert list(Path(folder).glob("unlost-prove-*")) == []
    psutil.wait_procs(tree, timeout=10)
    assert not [one for one in tree if one.is_running() and one.status() != "zombie"]


def wait_for_journal(folder: Path, process: Any) -> Path:
    """The journal, once a handler runs."""
    while process.poll() is None:
        for found in folder.glob("unlost-prove-*/journal.ndjson"):
            if found.stat().st_size:
                return found
    raise AssertionError("it ended too soon")
