"""What a task died of, as every ledger tells it."""

from __future__ import annotations

from unlost.task import Record, State, TaskError

UNKNOWN = TaskError("Unknown", "the attempt gave no error", None, "0" * 16)


def dead_letter(task: Record) -> TaskError | None:
    """The error under which a task stands among the dead letters: of the attempt it died in."""
    return error_of(task, len(task.attempts)) if task.state is State.DEAD else None


def error_of(task: Record, number: int) -> TaskError:
    """The error in which this attempt ended."""
    return task.attempts[number - 1].error or UNKNOWN
