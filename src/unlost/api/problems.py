"""Refusals as RFC 9457 problem documents: one class per refusal, rendered in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from unlost.api.openapi.schemas.problems import FieldError, ProblemBody
from unlost.ledger.protocol import (
    AnotherCall,
    BadCursor,
    LedgerUnavailable,
    LedgerUnfit,
    Refused,
    UnknownRedrive,
    UnknownTask,
)
from unlost.ledger.unavailable import how_seldom
from unlost.task import State
from unlost.telemetry.seldom import Tells

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "1"}
RETRY_LATER = {"Retry-After": "10"}
"""Where it will not be better before somebody has done something."""


class Problem(Exception):
    """Why a call was refused.  `detail` is for the caller to read, and says nothing else."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal"
    title: ClassVar[str] = "The service failed"

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        state: State | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}
        self.state = state


class Malformed(Problem):
    status, kind, title = 400, "malformed", "Not JSON"


class NotHttp(Problem):
    status, kind, title = 400, "not-http", "Not HTTP"


class Unauthorized(Problem):
    status, kind, title = 401, "unauthorized", "An API key is needed"


class Forbidden(Problem):
    status, kind, title = 403, "forbidden", "The API key does not allow this"


class ForeignPage(Problem):
    status, kind, title = 403, "foreign-page", "A page of another origin may not do this"


class HandedOn(Problem):
    status, kind, title = 403, "handed-on", "A proxy is in front, and nobody has said who may call"


class NotFound(Problem):
    status, kind, title = 404, "not-found", "Not found"


class NotAllowed(Problem):
    status, kind, title = 405, "method-not-allowed", "Method not allowed"


class TooSlow(Problem):
    status, kind, title = 408, "too-slow", "Too slow"


class Conflict(Problem):
    status, kind, title = 409, "conflict", "Another task has this id"


class OtherCall(Problem):
    status, kind, title = 409, "other-call", "Another call has this id"


class WrongState(Problem):
    status, kind, title = 409, "wrong-state", "The task's state does not allow this"


class AttemptEnded(Problem):
    status, kind, title = 409, "attempt-ended", "The attempt runs no more"


class AnotherResult(Problem):
    status, kind, title = 409, "another-result", "Another result is recorded"


class LeaseEnded(Problem):
    status, kind, title = 409, "lease-ended", "The worker's lease is over"


class TooLarge(Problem):
    status, kind, title = 413, "too-large", "Too large"


class WrongMediaType(Problem):
    status, kind, title = 415, "media-type", "Unsupported media type"


class WrongHost(Problem):
    status, kind, title = 421, "wrong-host", "The service is not known by this name"


class Invalid(Problem):
    status, kind, title = 422, "invalid", "Invalid members"


class InvalidQuery(Problem):
    status, kind, title = 422, "invalid-query", "Invalid parameters"


class UnclearPath(Problem):
    status, kind, title = 422, "unclear-path", "Unclear path"


class OverRate(Problem):
    status, kind, title = 429, "over-rate", "Too many submits"


class BacklogFull(Problem):
    status, kind, title = 429, "backlog-full", "Too many tasks are outstanding"


class LineTooLong(Problem):
    status, kind, title = 414, "line-too-long", "The request line is too long"


class HeadTooLarge(Problem):
    status, kind, title = 431, "head-too-large", "The request's headers are too large"


class Internal(Problem):
    """Something that nobody expected; what it was is in the log."""


class NotOffered(Problem):
    status, kind, title = 501, "not-offered", "Not offered here"


class Unavailable(Problem):
    status, kind, title = 503, "unavailable", "Try again soon"


def pointer(*names: str | int) -> str:
    """A JSON pointer as a URI fragment (RFC 6901, section 6)."""
    steps = (str(name).replace("~", "~0").replace("/", "~1") for name in names)
    return "#" + "".join("/" + quote(step, safe="~!$&'()*+,;=:@") for step in steps)


def invalid(errors: Sequence[FieldError]) -> Invalid:
    """The refusal of members, all of them at once."""
    return Invalid(summary(errors), errors=errors)


def summary(errors: Sequence[FieldError]) -> str:
    """Field errors in one line of text, for those who read only the detail."""
    first = "; ".join(f"{error.name[:100]} {error.detail}" for error in errors[:5])
    return first if len(errors) <= 5 else f"{first}; and {len(errors) - 5} more"


def problem_of(error: Exception) -> Problem | None:
    """The refusal that an error stands for, None if it stands for none."""
    match error:
        case Problem():
            return error
        case UnknownTask() | UnknownRedrive():
            what = "task" if isinstance(error, UnknownTask) else "redrive"
            return NotFound(f"no {what} has this id")
        case AnotherCall():
            return OtherCall("another call had this id, for this task; nothing was done")
        case Refused():
            return WrongState(f"the task is {error.state.value}")
        case BadCursor():
            fault = FieldError("is not a cursor of this list", parameter="cursor")
            return InvalidQuery(summary([fault]), errors=[fault])
        case LedgerUnavailable():
            return _unavailable(error)
    return None


def _unavailable(error: LedgerUnavailable) -> Unavailable:
    if isinstance(error, LedgerUnfit):
        told = f"the ledger {error.words}, which whoever runs the service has to mend"
        return Unavailable(told, headers=RETRY_LATER)
    return Unavailable(f"the ledger {error.words} now; try again", headers=RETRY_AFTER)


def log_cause(lines: Tells, error: Exception) -> None:
    """Log why a call was refused: what the ledger says, if it is about that."""
    for one in (error, error.__cause__):
        if isinstance(one, LedgerUnavailable):
            lines.tell(str(one) or f"the ledger {one.words}", every=how_seldom(one))
            return
    lines.tell(str(error))


def let_go(error: BaseException | None) -> None:
    """Have an error that nobody handles any more keep nothing of what the call had, as its body.

    It holds the frames that it came through.  Where one of these holds the error, the two would
    stay until the collector looks for such rings, which is after thousands of calls.  One that was
    raised again while what came of it was handled stands behind itself: there it ends.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def render(problem: Problem) -> Response:
    """The answer that says what was wrong."""
    body = ProblemBody(
        type=f"urn:unlost:problem:{problem.kind}",
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        errors=list(problem.errors) or msgspec.UNSET,
        state=problem.state or msgspec.UNSET,
    )
    return Response(
        msgspec.json.encode(body),
        problem.status,
        {**problem.headers, "X-Content-Type-Options": "nosniff"},
        MEDIA_TYPE,
    )
