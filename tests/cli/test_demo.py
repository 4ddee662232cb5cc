"""`unlost demo`: the whole story, with a real process tree."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.cli.conftest import Command, Result
from tests.cli.terminal import at_terminal
from unlost.chance import fraction


@pytest.fixture
def alone(unlost: Command) -> Iterator[Command]:
    """The command with a folder of its own for what is temporary."""
    # A short path: sockets are made there.
    with TemporaryDirectory(prefix="u") as folder:
        # What would set another service otherwise must not reach the demo's own.
        yield Command(unlost.folder, {"TMPDIR": folder, "PORT": "1", "UNLOST_MAX_RETRIES": "50"})


def leftovers(command: Command) -> list[Path]:
    return list(Path(command.variables["TMPDIR"]).glob("unlost-demo-*"))


def tree_below(root: int) -> set[int]:
    return {child.pid for child in psutil.Process(root).children(recursive=True)}


def running(pids: set[int]) -> set[int]:
    """Those of the processes that still run."""
    return {pid for pid in pids if psutil.pid_exists(pid) and not _ended(pid)}


def _ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def run(command: Command, *words: str) -> Result:
    return command.fed(b"", "demo", *words)


def test_the_demo_tells_the_whole_story_and_leaves_nothing(alone: Command) -> None:
    result = run(alone, "--tasks", "300", "--failure-rate", "0.5", "--seed", "7")
    assert result.status == 0, result.err
    assert result.err == ""
    accepted, succeeded, dead = map(
        int, re.findall(r"(\d+) accepted = (\d+) succeeded \+ (\d+) dead", result.out)[0]
    )
    assert accepted == 300 == succeeded + dead
    # The seed decides: the same tasks die in every demo with it.
    assert dead == sum(
        all(fraction(7, f"demo-{number:06}", attempt) < 0.5 for attempt in (1, 2, 3))
        for number in range(1, 301)
    )
    assert "0 lost" in result.out
    assert f"{dead} tasks died; to be expected were 38" in result.out
    assert f"{dead} of {dead} dead letters" in result.out
    assert "SimulatedFailure" in result.out
    assert "every promise holds" in result.out
    assert leftovers(alone) == []


def test_a_demo_in_which_nothing_fails_has_no_dead_letters(alone: Command) -> None:
    result = run(alone, "--tasks", "5", "--failure-rate", "0", "--seed", "7", "--json")
    assert (result.status, result.err) == (0, "")
    outcome = json.loads(result.out)  # as JSON there is only the outcome
    assert (outcome["seed"], outcome["audit"]["ok"]) == (7, True)
    assert (outcome["stats"]["accepted"], outcome["deadLetters"]) == (5, {"groups": []})


def test_at_a_terminal_the_states_are_bars(alone: Command) -> None:
    with at_terminal(alone, "demo", "--tasks", "50", "--seed", "1") as terminal:
        assert terminal.close() == 0
    assert "████" in terminal.text


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_demo_cleans_up(alone: Command, number: signal.Signals, status: int) -> None:
    with alone.start("demo", "--tasks", "100000") as process:
        assert process.stdout is not None
        while b" s  queued=" not in process.stdout.readline():
            assert process.poll() is None
        tree = tree_below(process.pid)
        assert len(tree) >= 3
        os.kill(process.pid, number)
        process.stdout.read()
        assert process.wait(30) == status
    assert leftovers(alone) == []
    assert running(tree) == set()
