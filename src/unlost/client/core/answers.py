"""What an answer means: a value, a refusal, or that the same call may be made again.  Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, TypeGuard, TypeVar

import msgspec

from unlost import jsontext
from unlost.client.core.wire import Answer, NoAnswer, Reply
from unlost.client.errors import Conflict, NotFound, Problem, Refused, UnlostError

T = TypeVar("T")

NOT_HERE: Final = 501
"""What a home does not offer, it never will."""

URN: Final = "urn:unlost:problem:"


def stays(reply: Reply) -> TypeGuard[Answer]:
    """Whether it is an answer that would be the same if the same call were made again."""
    if isinstance(reply, NoAnswer):
        return False
    return not is_passing(reply.status)


def is_passing(status: int) -> bool:
    """Whether an answer with this status may be another one later."""
    return status in (408, 429) or (status >= 500 and status != NOT_HERE)


def asked_wait(reply: Reply) -> float:
    """Seconds that the answer asks to wait, of several the most; 0 where it does not."""
    if not isinstance(reply, Answer):
        return reply.wait
    return max((_seconds(one.strip(), reply.date) for one in _each(reply.retry_after)), default=0)


def _each(header: str) -> list[str]:
    """Several headers come as one, with commas; a date has one comma of its own."""
    return [header] if header[:1].isalpha() else header.split(",")


def _seconds(text: str, date: str) -> float:
    if text.isascii() and text.isdecimal():
        return float(text)
    try:  # a date of the server's clock, which the answer's own date tells
        return (parsedate_to_datetime(text) - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError):
        return 0.0


def problem_of(answer: Answer) -> Problem:
    """What a refusal says; of one that is not the service's own, what its status says."""
    try:
        found = msgspec.json.decode(answer.body, type=Problem)
        if found.status == answer.status and found.type.startswith(URN):
            return found
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        title = HTTPStatus(answer.status).phrase
    except ValueError:
        title = "refused"
    return Problem(answer.status, title=title)


def refusal(answer: Answer, task_id: str | None = None) -> UnlostError:
    """The error that an answer stands for which is no success, and would not change."""
    if answer.status < 400:
        return UnlostError(f"this is not the answer of an unlost service ({answer.status})")
    problem = problem_of(answer)
    kinds: dict[int, type[UnlostError]] = {404: NotFound, 409: Conflict}
    # A proxy's 404 says nothing of whether there is a task.
    own = problem.type.startswith(URN)
    kind = kinds.get(answer.status, Refused) if own else Refused
    return kind(str(problem), problem, task_id)


def read(answer: Answer, kind: type[T]) -> T:
    """What an answer holds.  Raises UnlostError where that is none of an unlost service."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:  # the quick way refuses long integers, which a payload may hold
        return msgspec.convert(jsontext.decode(answer.body.decode()), kind)
    except (ValueError, RecursionError) as error:
        raise UnlostError(f"this is not the answer of an unlost service ({error})") from None
