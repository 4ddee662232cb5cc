"""A user's command that tells how often a task's effects happened, from where they happened."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

PLACE = "{taskId}"
AT_ONCE = 4
PATIENCE = 30.0
"""Seconds that one call may take."""

SHOWN = 200
"""Characters of an answer that cannot be read."""

WHOLE = "(probe)"
"""The effect's name where the command prints just a number."""


class BadProbe(ValueError):
    """The command cannot be used.  The message says why."""


class Finding(msgspec.Struct, frozen=True):
    """What the command found for one task: how often each effect happened, or why it cannot say."""

    task_id: str
    counts: dict[str, int] = {}
    fault: str = ""


class Probe:
    """A command in whose words `{taskId}` stands for the id; no shell reads it.

    It prints a number, or a JSON object of effects and how often each happened.
    """

    def __init__(self, command: str) -> None:
        """Raises BadProbe."""
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise BadProbe(f"the probe's words cannot be told apart: {error}") from None
        if not any(PLACE in word for word in self._words):
            raise BadProbe(f"the probe must name the task with {PLACE}")

    def ask(self, task_ids: Sequence[str]) -> list[Finding]:
        """Run the command for each task, a few at once."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(self._ask, task_ids))

    def _ask(self, task_id: str) -> Finding:
        words = [word.replace(PLACE, task_id) for word in self._words]
        try:
            ended = subprocess.run(  # noqa: S603  the command that the user gave
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, ValueError) as error:
            return Finding(task_id, fault=f"it cannot be run: {error}")
        except subprocess.TimeoutExpired:
            return Finding(task_id, fault=f"it did not end within {PATIENCE:g} s")
        if ended.returncode:
            said = ended.stderr.decode("utf-8", "replace").strip()[-SHOWN:]
            return Finding(task_id, fault=f"it ended with status {ended.returncode}: {said}")
        return _read(task_id, ended.stdout)


def _read(task_id: str, answer: bytes) -> Finding:
    try:
        said = msgspec.json.decode(answer, type=int | dict[str, int])
    except msgspec.DecodeError:
        shown = answer.decode("utf-8", "replace").strip()[:SHOWN]
        fault = f"it printed neither a number nor an object of numbers: {shown!r}"
        return Finding(task_id, fault=fault)
    return Finding(task_id, {WHOLE: said} if isinstance(said, int) else said)
