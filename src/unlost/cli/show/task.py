"""One task for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from unlost.cli.client.answers import AttemptSeen, StepSeen, TaskSeen, WhySeen
from unlost.cli.show.output import facts
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import counted, moment, one_line, printable

SHOWN = 2000
"""How many characters of a payload or result are shown."""


ATTEMPT_COLUMNS = Columns(("attempt", "started", "took", "outcome", "next after", "error"))


STEP_COLUMNS = Columns(("step", "attempt", "recorded", "what it returned"))

RETURNED = 200
"""How many characters are shown of what a step returned."""

FOLLOW_UP_COLUMNS = Columns(("follow-up", "type", "state"), whole="follow-up")


def print_task(task: TaskSeen, *, tracebacks: bool, follow_ups: Sequence[TaskSeen] = ()) -> None:
    """Print a task with its attempts, and their tracebacks where wanted, and what followed."""
    facts(
        (
            ("task", task.task_id),
            ("type", task.type),
            ("key", task.key),
            ("parent", task.parent),
            ("state", task.state),
            ("attempts", _attempts(task)),
            ("submitted", moment(task.submitted_at)),
            ("updated", moment(task.updated_at)),
            ("next attempt", moment(task.next_attempt_at)),
            ("purged", moment(task.purged_at)),
            ("payload", _shown(bytes(task.payload))),
            ("result", _shown(bytes(task.result))),
            ("error" if task.state == "dead" else "last error", str(task.error or "")),
        )
    )
    if task.attempts:
        print()
        table(ATTEMPT_COLUMNS, [_row(attempt) for attempt in task.attempts])
    if task.steps:
        print()
        table(STEP_COLUMNS, [_step_row(step) for step in task.steps])
    if follow_ups:
        print()
        table(FOLLOW_UP_COLUMNS, [(one.task_id, one.type, one.state) for one in follow_ups])
    if task.history:
        print()
    for act in task.history:
        by = f" by {act.by}" if act.by else ""
        why = f": {act.reason}" if act.reason else ""
        print(one_line(f"{moment(act.at)} {act.event}{by}{why}"))
    if tracebacks:
        print_tracebacks(task.attempts)


def print_why(why: WhySeen) -> None:
    """Print why a task is not running now."""
    facts(
        (
            ("task", why.task_id),
            ("state", why.state),
            ("reason", why.reason),
            ("until", moment(why.until)),
            ("because", why.detail),
            ("to change it", why.would_change),
        )
    )


def _attempts(task: TaskSeen) -> str:
    redriven = f", redriven {counted(task.redrive_count, 'time')}" if task.redrive_count else ""
    return f"{task.attempt_count} (up to {counted(task.max_retries, 'retry')}{redriven})"


def _row(attempt: AttemptSeen) -> tuple[str, ...]:
    return (
        str(attempt.number),
        moment(attempt.started_at),
        _span(attempt.started_at, attempt.finished_at),
        f"{attempt.outcome or 'running'}{', excused' if attempt.excused else ''}",
        _span(attempt.finished_at, attempt.next_attempt_at),
        str(attempt.error or ""),
    )


def _step_row(step: StepSeen) -> tuple[str, ...]:
    returned = bytes(step.result).decode("utf-8", "replace") if step.kept else "(not kept)"
    if len(returned) > RETURNED:
        returned = f"{returned[:RETURNED]}… (--json)"
    forgotten = "" if step.forgotten_at is None else f", forgotten {moment(step.forgotten_at)}"
    return step.name, str(step.attempt), moment(step.at) + forgotten, returned


def _span(start: datetime | None, end: datetime | None) -> str:
    return f"{max((end - start).total_seconds(), 0):.3f} s" if start and end else ""


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return "" if shown == "null" else shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}… (--json)"


def print_tracebacks(attempts: list[AttemptSeen]) -> None:
    """Print the traceback of each attempt that has one."""
    for attempt in attempts:
        if attempt.error and attempt.error.traceback:
            print(f"\nattempt {attempt.number}")
            print(printable(attempt.error.traceback.rstrip("\n")))
