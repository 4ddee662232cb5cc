"""What goes through `protocol.DeadLetters` and `protocol.Reports`."""

from __future__ import annotations

import msgspec

from unlost.task import Micros, TaskError


class Group(msgspec.Struct, frozen=True):
    """Dead letters that look alike."""

    fingerprint: str
    error_type: str
    sample: str
    count: int
    first_at: Micros
    last_at: Micros


class Report(msgspec.Struct, frozen=True):
    """A death that the monitor has not reported yet, as it was when the task died."""

    id: int
    task_id: str
    type: str
    payload: str
    error: TaskError
    attempt_count: int
    submitted_at: Micros
    died_at: Micros
