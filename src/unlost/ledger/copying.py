"""Tasks as copies: from the memory ledger, and into it."""

from __future__ import annotations

from collections.abc import Iterable

from unlost.ledger.kept import UNKNOWN, Kept
from unlost.ledger.values import Copy, Death, Report
from unlost.task import Outcome, Record, State, TaskError


def copy(kept: Kept, reports: Iterable[Report]) -> Copy:
    """All that is kept of a task; `reports` are those still to be made, its own among them."""
    task = kept.record
    return Copy(
        task,
        kept.submitted,
        kept.spent,
        kept.alone,
        kept.token,
        kept.worker,
        kept.deadline if kept.token is not None else None,
        kept.died_at if kept.dead_letter is not None else None,
        tuple(_death(task, report) for report in reports if report.task_id == task.task_id),
    )


def _death(task: Record, report: Report) -> Death:
    """A task died in the last of the attempts that were counted by then."""
    counted = [one.number for one in task.attempts if one.outcome is not Outcome.RELEASED]
    return Death(report.died_at, counted[report.attempt_count - 1], report.attempt_count)


def restored(copy: Copy, position: int) -> Kept:
    """The task as another ledger kept it."""
    return Kept(
        position, copy.own, copy.record, copy.spent, copy.alone, copy.token, copy.worker,
        copy.deadline or 0, copy.died_at or 0, dead_letter(copy.record),
    )  # fmt: skip


def dead_letter(task: Record) -> TaskError | None:
    """The error under which a task stands among the dead letters: of the attempt it died in."""
    return _error(task, len(task.attempts)) if task.state is State.DEAD else None


def report(task: Record, death: Death, report_id: int) -> Report:
    """A report still to be made, by the payload in force."""
    return Report(
        report_id, task.task_id, task.type, task.payload or "", _error(task, death.number),
        death.attempt_count, task.submitted_at, death.died_at,
    )  # fmt: skip


def _error(task: Record, number: int) -> TaskError:
    return task.attempts[number - 1].error or UNKNOWN
