"""What becomes of an attempt that a client settles.  Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from unlost import policy
from unlost.task import Outcome, Submission
from unlost.worker.attempt import Ended, kept

UNNAMED: Final = "Error"
REJECTED: Final = "Reject"
"""The types of errors that name none."""


class Told(StrEnum):
    """What a client may say of an attempt."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RELEASED = "released"


class Error(msgspec.Struct, frozen=True, gc=False):
    """Why an attempt failed, as its client says it."""

    type: str | None = None
    message: str = ""
    traceback: str | None = None


class Asked(msgspec.Struct, frozen=True, gc=False):
    """How a client settles an attempt.  `result` is JSON text, `after` are seconds."""

    outcome: Told
    result: str | None = None
    submit: tuple[Submission, ...] = ()
    error: Error = Error()
    after: float = 0.0
    excused: bool = False
    reject: bool = False


def ended(asked: Asked) -> Ended:
    """How the attempt has ended."""
    if asked.outcome is Told.SUCCEEDED:
        return kept(asked.result, asked.submit)
    if asked.outcome is Told.RELEASED:
        return Ended(Outcome.RELEASED, at_least=asked.after)
    kind = asked.error.type or (REJECTED if asked.reject else UNNAMED)
    error = policy.error(kind, asked.error.message, asked.error.traceback)
    if asked.reject:
        return Ended(Outcome.FAILED, error, final=True)
    return Ended(Outcome.FAILED, error, at_least=asked.after, excused=asked.excused)
